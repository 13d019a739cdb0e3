"""`tally-ledger prune`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tallystick_ledger.commands.options import DIR
from tallystick_ledger.folder import Folder
from tallystick_ledger.words import progress

__all__ = ["command"]

_DAY_S = 86_400


@click.command("prune")
@DIR
@click.option(
    "--keep-days",
    type=click.FloatRange(0, 36_500),
    required=True,
    metavar="DAYS",
    help="Blocks that were confirmed within so many days stay.",
)
def command(folder: Path, keep_days: float) -> None:
    """Give back the room of old blocks; the ledger must not run (run --keep-days does the same as it goes).

    Proofs that were given stay valid. Statements and each gateway's newest anchor are kept.
    """
    from tallystick_ledger.prune import prunable, prune
    from tallystick_ledger.store import Store

    place = Folder(folder)
    done = 0
    with place.locked(), Store.writing(place.database) as store:
        start, upto = store.pruned(), prunable(store, int(time.time() - keep_days * _DAY_S))
        if place.signs:
            # what nobody has been told of yet stays
            upto = min(upto, store.announced())
        with progress("pruning blocks") as step:
            while more := prune(store, upto):
                done += more
                step(done, max(upto - start, 1))
        if done:
            store.connection.execute("VACUUM")
    click.echo(f"pruned up to position {max(start, upto)}: {done} blocks looked at")
