"""`tally-gateway fsck`: everything computed again."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick_gateway import fsck
from tallystick_gateway.console import DIR, Complaint, orderly
from tallystick_gateway.folder import Folder
from tallystick_gateway.store import Store
from tallystick_gateway.talk import JSON, progress, say

__all__ = ["command"]


@click.command("fsck")
@DIR
@JSON
def command(path: Path, as_json: bool) -> None:
    """Compute every leaf hash, root, tile, checkpoint and chain again from the stored bytes."""
    folder = Folder(path)
    own = orderly(folder.identity)
    store = orderly(lambda: Store.read(folder.database))
    with progress("checking") as moved:
        report = orderly(lambda: fsck.check(store, folder, own, moved))
    store.close()
    say(
        as_json,
        {"ok": not report.wrong, "counts": report.counts, "wrong": report.wrong},
        "\n".join(fsck.lines(report)),
    )
    if not report.wrong:
        return
    hint = "restore it from a backup"
    if len(report.wrong) == report.derived:
        hint = (
            f"stop the service, remove {str(folder.log / 'mark')!r}, start it: it writes them again"
        )
    raise Complaint(f"{str(path)!r} is not what its records say", hint)
