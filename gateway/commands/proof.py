"""`tally-gateway proof`: a .tally file from the data folder."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tallystick_gateway import console, proofs
from tallystick_gateway.console import DIR, Complaint, enrolled, orderly
from tallystick_gateway.folder import Folder
from tallystick_gateway.proofs import ProofError, Wanted
from tallystick_gateway.settings import setting
from tallystick_gateway.store import Store
from tallystick_gateway.tiles import Tiles

__all__ = ["command"]


@click.command("proof")
@DIR
@click.option("--device", required=True, metavar="ID", help="16 hex digits.")
@click.option("--seq", type=click.IntRange(min=0), help="The record with this seq.")
@click.option("--from", "first", type=click.IntRange(min=0), help="With --to: a range of seqs.")
@click.option("--to", "last", type=click.IntRange(min=0), help="With --from: a range of seqs.")
@click.option(
    "--time", "at", type=click.IntRange(min=0), help="The record that covers this Unix time."
)
@click.option("--since", type=click.IntRange(min=0), help="With --until: a range of Unix times.")
@click.option("--until", type=click.IntRange(min=0), help="With --since: a range of Unix times.")
@click.option(
    "--not-before",
    is_flag=True,
    help="Add the chain back to the newest ledger milestone that it names: the records are younger than that.",
)
@setting("enrolment")
def command(
    path: Path,
    device: str,
    seq: int | None,
    first: int | None,
    last: int | None,
    at: int | None,
    since: int | None,
    until: int | None,
    not_before: bool,
    enrolment: Path | None,
) -> None:
    """Write the .tally file of some records to stdout. Reads DIR only; the service may run or not."""
    if seq is not None:
        if first is not None or last is not None:
            raise Complaint("give --seq, or --from and --to: not both", status=2)
        first = last = seq
    try:
        wanted = Wanted(first, last, at, not_before, since, until)
    except ProofError as error:
        raise Complaint(
            error.detail, "give --seq, --from and --to, --time, or --since and --until", 2
        ) from error
    folder = Folder(path)
    name = console.device(device)
    devices = enrolled(enrolment or folder.enrolment).devices
    store = orderly(lambda: Store.read(folder.database))
    data = orderly(
        lambda: proofs.build(store, Tiles(folder.log, store.entries), devices, name, wanted)
    )
    if sys.stdout.isatty():
        raise Complaint("not writing a binary file to a terminal", "add > FILE.tally", 2)
    sys.stdout.buffer.write(data)
