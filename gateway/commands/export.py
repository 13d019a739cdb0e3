"""`tally-gateway export`: receipts and statements for other people's tools."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tallystick_gateway import console, exports
from tallystick_gateway.console import DIR, Complaint, enrolled, orderly
from tallystick_gateway.folder import Folder
from tallystick_gateway.store import Store
from tallystick_gateway.tiles import Tiles

__all__ = ["command"]


@click.command("export")
@DIR
@click.option("--device", required=True, metavar="ID", help="16 hex digits.")
@click.option("--seq", type=click.IntRange(min=0), required=True, help="The record with this seq.")
@click.option(
    "--to",
    "form",
    type=click.Choice(["cose-receipt", "scitt-statement"]),
    required=True,
    help="RFC 9942: the record is in the log. RFC 9943: this gateway admitted it.",
)
@click.option(
    "--enrolment",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: DIR/enrolment.json.",
)
def command(path: Path, device: str, seq: int, form: str, enrolment: Path | None) -> None:
    """Sign a COSE receipt or a SCITT statement about one record, and write it to stdout.

    Signs with the gateway's key. Reads DIR only; the service may run or not.
    """
    folder = Folder(path)
    own = orderly(folder.identity)
    name = console.device(device)
    store = orderly(lambda: Store.read(folder.database))
    found = orderly(lambda: exports.find(store, name, seq))
    if form == "cose-receipt":
        tiles = Tiles(folder.log, store.entries)
        data = orderly(lambda: exports.receipt(store, tiles, own, found))
    else:
        devices = enrolled(enrolment or folder.enrolment).devices
        data = orderly(lambda: exports.statement(devices, own, found))
    if sys.stdout.isatty():
        raise Complaint("not writing a binary file to a terminal", "add > FILE.cose", 2)
    sys.stdout.buffer.write(data)
