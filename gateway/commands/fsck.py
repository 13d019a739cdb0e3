"""`tally-gateway fsck`: everything computed again."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick_gateway import fsck
from tallystick_gateway.console import DIR, Complaint, orderly
from tallystick_gateway.folder import Folder
from tallystick_gateway.store import Store

__all__ = ["command"]


@click.command("fsck")
@DIR
def command(path: Path) -> None:
    """Compute every leaf hash, root, tile, checkpoint and chain again from the stored bytes."""
    folder = Folder(path)
    own = orderly(folder.identity)
    store = orderly(lambda: Store.read(folder.database))
    report = fsck.check(store, folder, own)
    for line in fsck.lines(report):
        click.echo(line)
    if report.wrong:
        raise Complaint(f"{str(path)!r} is not what its records say", "restore it from a backup")
