"""`tally-gateway new-log`: a new origin for a frozen gateway."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tallystick_gateway.console import DIR, held, orderly
from tallystick_gateway.folder import Folder, Identity
from tallystick_gateway.store import Store

__all__ = ["command"]


@click.command("new-log")
@DIR
def command(path: Path) -> None:
    """Start a new log of all records, under a new key and origin.

    For a gateway that is frozen: its folder was restored from a backup, or has a twin. The old key
    and the old log's files go to DIR/old; proofs with anchors of the old log stay valid.
    Afterwards: the owner grants the new gateway, and policies trust its new line.
    """
    folder = Folder(path)
    before = orderly(folder.identity)
    with held(folder):
        after = orderly(lambda: _renew(folder, before))
    click.echo(f"put away {before.origin}, made {after.origin}", err=True)
    click.echo("hint: grant the new gateway, and add its identity line to the policies", err=True)
    click.echo(str(after.verifier))


def _renew(folder: Folder, before: Identity) -> Identity:
    """The old key and tiles to DIR/old; the database keeps records and chains, and forgets that it
    is frozen.
    """
    away = folder.old / f"{before.id.hex()}-{int(time.time())}"
    away.mkdir(parents=True, mode=0o700)
    if folder.log.exists():
        folder.log.rename(away / "log")
    folder.key.rename(away / "gateway.key")
    after = folder.make_key()
    if folder.database.exists():
        store = Store.open(folder.database)
        store.set_fact("frozen", None)
        store.set_fact("origin", after.origin)
        store.close()
    return after
