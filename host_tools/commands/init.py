"""`tally init`."""

from __future__ import annotations

import rich_click as click

from tallystick import did
from tallystick_host import terminal
from tallystick_host.home import Home
from tallystick_host.words import columns, shown_path

__all__ = ["command"]


@click.command("init")
@click.option("--name", default="", help="Your name as an issuer, shown by tally verify.")
@click.option("--json", "as_json", is_flag=True, help="Facts as one JSON object.")
@click.pass_obj
def command(home: Home, name: str, as_json: bool) -> None:
    """Make the owner's and the issuer's key, and a policy that trusts the issuer.

    What is there already stays as it is: a second call changes nothing.

    \b
    tally init --name Acme
    """
    made = home.make(name)
    folder = shown_path(home.folder)
    if made:
        terminal.talk(f"made {', '.join(path.name for path in made)} in {folder}")
        if home.issuer_path in made and home.policy_path not in made:
            terminal.warning("the policy was there before the issuer's key and does not trust it")
            terminal.hint(f"tally policy trust issuer {did.did_key(home.issuer().public)}")
        terminal.talk("keep both keys: who has owner.key commands the fleet, nobody can restore it")
    else:
        terminal.talk(f"nothing to do: keys and policy are in {folder} already")
    for path in home.exposed():
        terminal.warning(f"others can read {shown_path(path)}")
        terminal.hint(f"chmod 600 {shown_path(path)}")
    facts = {
        "home": folder,
        "owner": did.did_key(home.owner().public),
        "issuer": did.did_key(home.issuer().public),
        "policy": shown_path(home.policy_path),
    }
    if as_json:
        terminal.json_line({"schema": 1, "made": [path.name for path in made], **facts})
        return
    for line in columns(list(facts.items())):
        terminal.data(line)
