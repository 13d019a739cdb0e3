"""`tally issuer`: did-web, show."""

from __future__ import annotations

import rich_click as click

from tallystick import did_document
from tallystick_host import issuer, terminal
from tallystick_host.home import Home
from tallystick_host.words import columns, shown_path

__all__ = ["command"]


@click.group("issuer")
def command() -> None:
    """Under which name this issuer signs, and what it hosts for others.

    \b
    tally issuer show
    tally issuer did-web example.org:sensors
    """


@command.command("did-web")
@click.argument("name", metavar="HOST[:PATH]")
@click.option("--json", "as_json", is_flag=True, help="Facts as one JSON object.")
@click.pass_obj
def did_web(home: Home, name: str, as_json: bool) -> None:
    """Sign JSON documents as did:web:HOST[:PATH] from now on, and write its document to be hosted.

    Nothing is sent anywhere. Who verifies such a credential gives the document with --did-document; the key in it must
    be that of an issuer in his policy. Credentials on boards name the did:key as before.

    \b
    tally issuer did-web example.org
    tally issuer did-web example.org:sensors     # https://example.org/sensors/did.json
    """
    found, path = issuer.use_did_web(home, name)
    address = did_document.web_address(found.did)
    terminal.talk(f"host {shown_path(path)} as {address}")
    if as_json:
        facts = {"did": found.did, "document": shown_path(path), "address": address}
        terminal.json_line({"schema": 1, **facts, "key": found.key_did})
        return
    terminal.data(found.did)


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def show(home: Home, as_json: bool) -> None:
    """Show the issuer's names.

    \b
    tally issuer show --json | jq -r .did
    """
    found = issuer.load(home)
    facts = {"did": found.did, "key": found.key_did, "lists": f"{found.base}/status/"}
    if as_json:
        terminal.json_line({"schema": 1, **facts})
        return
    for line in columns(list(facts.items())):
        terminal.data(line)
