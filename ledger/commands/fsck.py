"""`tally-ledger fsck`."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick_ledger.commands.options import DIR
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder

__all__ = ["command"]


@click.command("fsck")
@DIR
def command(folder: Path) -> None:
    """Derive everything again from the stored blocks; exit status 1 if something differs."""
    from tallystick_ledger.fsck import check

    report = check(Folder(folder).database)
    for line in report.damage:
        click.echo(f"damage: {line}")
    click.echo(
        f"{'damaged' if report.damage else 'ok'}: {report.blocks} blocks, {report.confirmed} confirmed,"
        f" {report.milestones} milestones"
    )
    if report.damage:
        raise LedgerError(
            f"'{folder}' is damaged in {len(report.damage)} places",
            hint="stop the ledger and restore the newest sound copy of the folder",
        )
