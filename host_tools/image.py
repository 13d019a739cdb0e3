"""MicroPython's image for an ESP32, as it is downloaded: one file that spans bootloader, partition table and program.

::

    file offset + image_offset = address in flash

    0x1000 or 0    bootloader, begins with E9, its chip's number in bytes 12 and 13
    0x8000         partition table: 32 bytes an entry, AA 50, type, subtype, offset, size, label
    0x9000         nvs: in the file FF, on a board its key and the head of its chain
    0x10000        the program

Between its parts the file is padded with FF. Written as it is, the padding goes over nvs and the board's key is gone:
so only the parts are written, and never a partition that holds data (`parts`).
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallystick_host import files, limits
from tallystick_host.boards import Board
from tallystick_host.errors import UseError
from tallystick_host.words import shown, shown_path

__all__ = ["TABLE_BYTES", "TABLE_OFFSET", "Image", "Part", "Partition", "partitions", "read"]

TABLE_OFFSET: Final = 0x8000
TABLE_BYTES: Final = 0xC00
CHIP_IDS: Final = {"esp32": 0, "esp32s3": 9, "esp32c3": 5, "esp32c6": 13}
_ENTRY: Final = struct.Struct("<2sBBII16sI")
_ENTRY_MAGIC: Final = b"\xaa\x50"
_IMAGE_MAGIC: Final = 0xE9
_APP, _DATA = 0, 1
_OTA_DATA: Final = 0  # subtype: which of two programs runs; no identity in it
_VERSION: Final = re.compile(r"-(?P<date>[0-9]{8})-v(?P<version>[0-9][0-9A-Za-z.-]*?)\.bin$")


@dataclass(frozen=True)
class Partition:
    """One entry of the table: bytes `offset` to `offset + size` of the flash."""

    label: str
    type: int
    subtype: int
    offset: int
    size: int

    @property
    def holds_data(self) -> bool:
        """May a board's key, head or records be in it?"""
        return self.type != _APP and not (self.type == _DATA and self.subtype == _OTA_DATA)


@dataclass(frozen=True)
class Part:
    """What is written: `data` at `offset`."""

    what: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Image:
    """An image that fits a board. `version`: from the file's name, "" if that has none."""

    path: Path
    sha256: str
    version: str
    parts: tuple[Part, ...]
    partitions: tuple[Partition, ...]
    table: bytes


def partitions(table: bytes) -> tuple[Partition, ...]:
    """The entries of a partition table; none if these bytes are no table."""
    found = []
    for at in range(0, len(table) - _ENTRY.size + 1, _ENTRY.size):
        magic, kind, subtype, offset, size, label, _ = _ENTRY.unpack_from(table, at)
        if magic != _ENTRY_MAGIC:
            break
        text = shown(label.split(b"\0")[0].decode("ascii", "replace"))
        found.append(Partition(text, kind, subtype, offset, size))
    return tuple(found)


def read(path: Path, board: Board) -> Image:
    """The image in `path`; `UseError` if it is none for this board."""
    name = shown_path(path)
    data = files.read(path, limits.IMAGE_BYTES)
    if len(data) < 16 or data[0] != _IMAGE_MAGIC:
        raise UseError(f"{name!r} is no image of an ESP32", code="image.form")
    chip = int.from_bytes(data[12:14], "little")
    if chip != CHIP_IDS[board.chip]:
        made_for = next((name for name, id in CHIP_IDS.items() if id == chip), f"chip {chip}")
        raise UseError(
            f"{name!r} is made for the {made_for}, {board.id} has the {board.chip}",
            code="image.chip",
            hint=f"take the image called {board.download}",
        )
    if board.image_offset + len(data) > board.flash_bytes:
        raise UseError(f"{name!r} is larger than the flash of {board.id}", code="image.too-long")
    start = TABLE_OFFSET - board.image_offset
    table = data[start : start + TABLE_BYTES]
    entries = partitions(table)
    apps = [one for one in entries if one.type == _APP]
    if not apps or not any(one.holds_data for one in entries):
        raise UseError(
            f"{name!r} has no partition table at {start:#x}",
            code="image.form",
            hint="take the .bin for a first installation, not the .app-bin of an update",
        )
    parts = [_part("bootloader", board.image_offset, data[:start])]
    parts.append(Part("partition table", TABLE_OFFSET, table))
    for one in entries:
        begin = one.offset - board.image_offset
        if not one.holds_data and begin < len(data):
            parts.append(_part(one.label, one.offset, data[begin : begin + one.size]))
    match = _VERSION.search(path.name)
    return Image(
        path,
        hashlib.sha256(data).hexdigest(),
        match["version"] if match else "",
        tuple(part for part in parts if part.data),
        entries,
        table,
    )


def _part(what: str, offset: int, data: bytes) -> Part:
    """Without the padding at its end, up to a multiple of four bytes."""
    length = len(data.rstrip(b"\xff"))
    return Part(what, offset, data[: min(-(-length // 4) * 4, len(data))])
