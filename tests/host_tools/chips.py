"""A chip in download mode on a pseudo-terminal, and images of MicroPython to write to it, for tests."""

from __future__ import annotations

import contextlib
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.parts import ROOT

ROM_LOADER = ROOT / "firmware" / "virtual" / "rom_loader.py"
CHIP_IDS = {"esp32": 0, "esp32s3": 9, "esp32c3": 5, "esp32c6": 13}
OFFSETS = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0, "esp32c6": 0}
BOARDS = {
    "esp32": "ESP32_GENERIC",
    "esp32s3": "ESP32_GENERIC_S3",
    "esp32c3": "ESP32_GENERIC_C3",
    "esp32c6": "ESP32_GENERIC_C6",
}
PLAIN_TABLE = (
    ("nvs", 1, 2, 0x9000, 0x6000),
    ("phy_init", 1, 1, 0xF000, 0x1000),
    ("factory", 0, 0, 0x10000, 0x1F0000),
    ("vfs", 1, 0x81, 0x200000, 0x200000),
)
SMALLER_NVS = (("nvs", 1, 2, 0x9000, 0x4000), *PLAIN_TABLE[2:])
APP_BYTES = 120_004


class ChipOnPort:
    """What `on_port` gives: the port's name, and what is in the flash."""

    def __init__(self, port: Path, flash: Path) -> None:
        self.port = str(port)
        self._flash = flash

    def read(self, offset: int, length: int) -> bytes:
        with self._flash.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def put(self, offset: int, data: bytes) -> None:
        with self._flash.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    @property
    def is_blank(self) -> bool:
        return not self._flash.read_bytes().strip(b"\xff")


@contextlib.contextmanager
def on_port(folder: Path, chip: str, *moods: str) -> Iterator[ChipOnPort]:
    """A chip of that kind on the port `folder`/chip, its flash in `folder`/chip.bin."""
    port, flash = folder / "chip", folder / "chip.bin"
    argv = [sys.executable, str(ROM_LOADER), "--chip", chip, "--pty", str(port)]
    argv += ["--flash", str(flash)]
    for mood in moods:
        argv += ["--mood", mood]
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not port.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield ChipOnPort(port, flash)
    finally:
        process.terminate()
        process.wait(10)


def table(entries: tuple[tuple[str, int, int, int, int], ...] = PLAIN_TABLE) -> bytes:
    """A partition table, padded as in an image."""
    packed = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, offset, size, label.encode(), 0)
        for label, kind, subtype, offset, size in entries
    )
    return packed.ljust(0xC00, b"\xff")


def image(
    chip: str,
    entries: tuple[tuple[str, int, int, int, int], ...] = PLAIN_TABLE,
    *,
    seed: int = 1,
) -> bytes:
    """An image as it is downloaded: parts between padding. Nothing in it would run."""
    chance = random.Random(seed)
    head = b"\xe9\x00\x02\x20" + bytes(8) + CHIP_IDS[chip].to_bytes(2, "little") + bytes(10)
    start = OFFSETS[chip]
    boot = (head + chance.randbytes(9000)).ljust(0x8000 - start, b"\xff")
    app = head + b"\0" * 20_000 + chance.randbytes(APP_BYTES - 20_000 - len(head) - 1) + b"\x01"
    return boot + table(entries).ljust(0x10000 - 0x8000, b"\xff") + app
