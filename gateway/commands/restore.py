"""`tally-gateway restore`: a data folder from a backup, which knows whether it is old."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick_gateway.backup import restore
from tallystick_gateway.console import DIR, orderly
from tallystick_gateway.folder import Folder
from tallystick_gateway.logs import log_json
from tallystick_gateway.talk import JSON, progress, say

__all__ = ["command"]


@click.command("restore")
@DIR
@JSON
@click.option(
    "--high-water",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The largest checkpoint ever signed. Default: DIR.high-water, beside DIR.",
)
@click.argument("source", type=click.Path(path_type=Path, file_okay=False, exists=True))
def command(path: Path, as_json: bool, high_water: Path | None, source: Path) -> None:
    """Make the data folder DIR of the backup SOURCE. There must be no gateway in DIR.

    If more was signed after the backup was made, the gateway will take records in and sign nothing:
    then tally-gateway new-log makes a new origin.
    """
    folder = Folder(path)
    mark = high_water or folder.high_water
    known = mark.exists()
    log_json()
    with progress("writing tiles") as moved:
        copied = orderly(lambda: restore(source, folder, mark, moved))
    facts = {
        "origin": copied.origin,
        "size": copied.size,
        "signed": copied.signed,
        "frozen": copied.frozen,
    }
    say(as_json, facts, f"{copied.size} records of {copied.origin}")
    if copied.frozen is not None:
        click.echo(f"warning: this copy is old: {copied.frozen}", err=True)
        click.echo(
            "hint: it takes records in and signs nothing; tally-gateway new-log makes a new origin",
            err=True,
        )
    elif not known:
        click.echo(
            f"warning: there was no high-water file {str(mark)!r}: whether this copy is old will be known from"
            " the broker, the ledger and the boards",
            err=True,
        )
        click.echo("hint: start it when the broker and the ledger can be reached", err=True)
