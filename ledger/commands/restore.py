"""`tally-ledger restore`."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick_ledger.commands.options import DIR
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder
from tallystick_ledger.words import progress

__all__ = ["command"]


@click.command("restore")
@DIR
@click.argument(
    "source", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The ledger's key, from its own backup. Without it the copy can only follow.",
)
def command(folder: Path, source: Path, key: Path | None) -> None:
    """Make the folder DIR from a backup or snapshot FILE, after checking all of it.

    A copy that is older than what the ledger has published never signs again: the broker's retained milestone and the
    witnesses tell it so at the start.
    """
    from tallystick_ledger.copies import backup
    from tallystick_ledger.fsck import check

    place = Folder(folder)
    with progress("checking blocks") as step:
        report = check(source, step)
    if report.damage:
        raise LedgerError(
            f"'{source}' is damaged: {report.damage[0]}",
            hint="take another backup; nothing was made",
        )
    place.receive(lambda target: backup(source, target, lambda _done, _of: None), key)
    click.echo(f"restored {report.confirmed} confirmed blocks into '{folder}'", err=True)
    click.echo(str(place.identity()))
