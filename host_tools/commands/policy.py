"""`tally policy`: trust, show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import rich_click as click

from tallystick.policy import Log, Witness
from tallystick_host import policy_file, terminal
from tallystick_host.home import Home
from tallystick_host.policy_file import Role
from tallystick_host.words import columns, shown_path

__all__ = ["command"]

_POLICY = click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path),
    help="The policy; default: policy.toml in the home folder.",
)


@click.group("policy")
def command() -> None:
    """Whom to trust: issuers, gateways, ledgers, witnesses.

    \b
    tally policy show
    tally policy trust gateway "$(tally-gateway identity)" --operator Acme
    """


@command.command("trust")
@click.argument("role", type=click.Choice(get_args(Role)))
@click.argument("line")
@click.option("--name", default="", help="What verdicts call it.")
@click.option("--operator", default="", help="Who runs it (not for an issuer).")
@_POLICY
@click.pass_obj
def trust(
    home: Home, role: Role, line: str, name: str, operator: str, policy_path: Path | None
) -> None:
    """Trust LINE: a verifier key (name+hex+base64), or the did:key of an issuer.

    The line comes from whoever runs the gateway or the ledger, on a way that you trust: nothing is trusted on first
    use.

    \b
    tally policy trust gateway "$(tally-gateway identity)" --operator Acme
    tally policy trust ledger "$(tally-ledger identity)" --name harbour
    tally policy trust issuer did:key:z6Mk... --name Acme
    """
    path = policy_path or home.policy_path
    done = policy_file.trust(path, role, line, name=name, operator=operator)
    short = done.line.partition("+")[0]
    if done.added:
        terminal.talk(f"{role} {short} is trusted now, in {shown_path(path)}")
    else:
        terminal.talk(f"{role} {short} is trusted already; nothing changed")


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_POLICY
@click.pass_obj
def show(home: Home, as_json: bool, policy_path: Path | None) -> None:
    """Show whom the policy trusts.

    \b
    tally policy show --json | jq .gateways
    """
    given = policy_file.read(policy_path or home.policy_path)
    if as_json:
        terminal.json_line(policy_file.facts(given))
        return
    rows = [["issuer", one.name or "-", "-", one.did] for one in given.issuers]
    logs: dict[str, Sequence[Log | Witness]] = {
        "gateway": given.gateways,
        "ledger": given.ledgers,
        "witness": given.witnesses,
    }
    for role, entries in logs.items():
        rows += [[role, log.name or "-", log.operator or "-", str(log.vkey)] for log in entries]
    for line in columns([["role", "name", "operator", "key"], *rows]):
        terminal.data(line)
    terminal.data(f"required: {' '.join(given.required)}")
