"""`tally grant`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick_host import files, grants, options, terminal
from tallystick_host.enrolment import Enrolment
from tallystick_host.grants import gateway_key
from tallystick_host.home import Home
from tallystick_host.words import shown_path

__all__ = ["command"]


@click.command("grant")
@click.option("--gateway", required=True, help="Line that tally-gateway identity prints.")
@options.ENROLMENT
@options.AS_JSON
@click.pass_obj
def command(home: Home, gateway: str, enrolment_path: Path, as_json: bool) -> None:
    """Grant the fleet to a gateway, for the first time or in place of another, without touching a board.

    The boards take the grant with the highest serial; the gateway before is obeyed no more.

    \b
    tally grant --gateway "$(tally-gateway identity)" --enrolment fleet.json
    """
    owner = home.owner()
    key = gateway_key(gateway)
    with files.locked(enrolment_path):
        enrolment = Enrolment.load(enrolment_path)
        present = enrolment.grant()
        if present is not None:
            # a file of another owner is not ours to change
            present.signed.verify(owner.public)
        if present is not None and present.key == key.key:
            grant = present
            said = f"{key.name} has the grant already, serial {grant.serial}; nothing changed"
        else:
            grant = grants.replacing(home, key, owner, present.serial if present else 0)
            enrolment.set_grant(grant)
            enrolment.save()
            said = f"{shown_path(enrolment_path)} grants the fleet to {key.name}"
    terminal.talk(said)
    if as_json:
        terminal.json_line(
            {
                "schema": 1,
                "gateway": grant.key.kid.hex(),
                "origin": grant.origin,
                "serial": grant.serial,
            }
        )
        return
    terminal.data(f"{grant.origin}  serial {grant.serial}")
