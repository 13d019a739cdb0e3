"""An ESP32 in download mode, without an ESP32: the loader in a chip's ROM, on a pseudo-terminal.

It is a simulator. It lets the real `esptool` flash a file that stands for a chip's flash, so that flashing can be
tried, taught and tested on a table without boards. It speaks the serial protocol that Espressif documents
(docs.espressif.com, esptool, "Serial Protocol"); nothing that it stores is ever run.

    python firmware/virtual/rom_loader.py --chip esp32c3 --pty ./chip --flash chip.bin
    esptool --port ./chip write-flash 0x0 ESP32_GENERIC_C3-20250911-v1.26.1.bin

How a session goes
1. The host knocks with SYNC until the ROM answers, eight times.
2. It reads registers to learn which chip this is. The chips differ in nothing but these tables.
3. It loads a program of its own, the stub, into RAM and starts it: the chip says OHAI, and from then on answers with
   two bytes of status instead of four. (Our stub is this program: what the host loads is thrown away.)
4. It erases, writes in blocks (as one zlib stream, if that is shorter), and asks for the MD5 of what it wrote.

Rules
* Flash is flash: erasing gives FF in whole sectors, writing clears bits and sets none. Who forgets to erase sees it.
* What was written is in the file at once: killing this process is a power cut.
* A SYNC begins anew in ROM mode, as the reset before it does on a board: a pseudo-terminal has no reset line.

Moods (--mood, several may be given): what goes wrong on real tables
    lose=N     of the Nth data block a byte is lost on the wire, once
    refuse=N   the Nth data block is answered with an error, every time
    forget     writes are acknowledged and not done, as in worn flash: the MD5 gives it away
    silent     the chip does not answer: it is not in download mode
    unplug=N   at the Nth data block the cable is pulled
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import mmap
import os
import select
import signal
import struct
import sys
import termios
import tty
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
MAX_FRAME = 0x10000
SECTOR = 0x1000
PIECE_BYTES = 16384

FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x02, 0x03, 0x04
MEM_BEGIN, MEM_END, MEM_DATA = 0x05, 0x06, 0x07
SYNC, WRITE_REGISTER, READ_REGISTER = 0x08, 0x09, 0x0A
SPI_PARAMETERS, SPI_ATTACH, CHANGE_BAUD = 0x0B, 0x0D, 0x0F
DEFLATED_BEGIN, DEFLATED_DATA, DEFLATED_END = 0x10, 0x11, 0x12
FLASH_MD5, SECURITY_INFO = 0x13, 0x14
ERASE_FLASH, ERASE_REGION, READ_FLASH = 0xD0, 0xD1, 0xD2
ACCEPTED = (MEM_BEGIN, MEM_DATA, SPI_PARAMETERS, SPI_ATTACH, CHANGE_BAUD, FLASH_END, DEFLATED_END)

GOOD = b"\x00\x00"
MALFORMED = b"\x01\x05"
FAILED = b"\x01\x06"
BAD_CHECKSUM = b"\x01\x07"
SYNC_VALUE = 0x20120707  # 0 would say that a stub runs already
SPI_GO = 1 << 18
JEDEC_4_MIB = 0x001640C8  # manufacturer C8, device 4016


class UnpluggedError(Exception):
    """The cable was pulled."""


@dataclass(frozen=True)
class Chip:
    """What tells one chip from another. `registers`: address -> value; others read as 0.

    `chip_id` is None on the first ESP32, whose ROM has no such command. `spi`: base of the flash controller,
    `answer`: where it puts what the flash said.
    """

    name: str
    chip_id: int | None
    registers: dict[int, int]
    spi: int
    answer: int


# the MAC address 24:0a:c4:12:34:56 in each chip's eFuses
MAC_HIGH, MAC_LOW = 0x0000240A, 0xC4123456
CHIPS = {
    "esp32": Chip(
        "esp32",
        None,
        {
            0x40001000: 0x00F01D83,  # the number that says ESP32
            0x3FF40014: 347,  # the UART's divider at 115200 baud: a crystal of 40 MHz
            0x3FF5A008: MAC_HIGH,
            0x3FF5A004: MAC_LOW,
        },
        0x3FF42000,
        0x80,
    ),
    "esp32s3": Chip("esp32s3", 9, {0x60007048: MAC_HIGH, 0x60007044: MAC_LOW}, 0x60002000, 0x58),
    "esp32c3": Chip("esp32c3", 5, {0x60008848: MAC_HIGH, 0x60008844: MAC_LOW}, 0x60002000, 0x58),
    "esp32c6": Chip(
        "esp32c6", 13, {0x600B0848: 0xFFFE << 16 | MAC_HIGH, 0x600B0844: MAC_LOW}, 0x60003000, 0x58
    ),
}


class Flash:
    """The flash of a chip, kept in a file: `size` bytes, FF where nothing was written."""

    def __init__(self, path: Path, size: int) -> None:
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes(b"\xff" * size)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self.size = size

    def erase(self, offset: int, length: int) -> None:
        """FF, in whole sectors."""
        begin = offset // SECTOR * SECTOR
        end = min(-(-(offset + length) // SECTOR) * SECTOR, self.size)
        self._map[begin:end] = b"\xff" * (end - begin)

    def write(self, offset: int, data: bytes) -> None:
        """Clear the bits that `data` has not; what lies beyond the end is lost."""
        data = data[: max(0, self.size - offset)]
        old = self._map[offset : offset + len(data)]
        if old.count(0xFF) != len(old):
            mixed = int.from_bytes(old, "big") & int.from_bytes(data, "big")
            data = mixed.to_bytes(len(data), "big")
        self._map[offset : offset + len(data)] = data

    def read(self, offset: int, length: int) -> bytes:
        return self._map[offset : offset + length]


@dataclass
class Mood:
    """What goes wrong; block numbers count data blocks from 1 over the whole session."""

    lose: int = 0
    refuse: int = 0
    unplug: int = 0
    forget: bool = False
    silent: bool = False

    @classmethod
    def parse(cls, words: list[str]) -> Mood:
        """Raises ValueError for a word that is no mood."""
        mood = cls()
        for word in words:
            name, _, number = word.partition("=")
            if name in ("lose", "refuse", "unplug") and number.isdigit() and int(number) > 0:
                setattr(mood, name, int(number))
            elif name in ("forget", "silent") and not number:
                setattr(mood, name, True)
            else:
                raise ValueError(word)
        return mood


def framed(data: bytes) -> bytes:
    """One SLIP frame."""
    escaped = data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + escaped + b"\xc0"


def unframed(data: bytes) -> bytes:
    """What stands between two frame ends."""
    return data.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


@dataclass
class Write:
    """A write that was begun: where, and how large the host's blocks are."""

    offset: int = 0
    block: int = 0
    inflate: object = None
    next_seq: int = 0
    done: int = 0


@dataclass
class Loader:
    """The chip's side of the protocol: `answer(frame)` gives what goes back on the wire."""

    chip: Chip
    flash: Flash
    mood: Mood = field(default_factory=Mood)
    stub: bool = False
    blocks: int = 0
    _registers: dict[int, int] = field(default_factory=dict)
    _write: Write = field(default_factory=Write)
    _reading: tuple[int, int, int, int] | None = None  # offset, length, sent, acknowledged

    def answer(self, frame: bytes) -> bytes:
        """The answer to one frame; nothing to what is no request."""
        if self.mood.silent:
            return b""
        if self._reading is not None:
            return self._acknowledged(frame)
        if len(frame) < 8 or frame[0] != 0:
            return b""
        _, opcode, length, checksum = struct.unpack("<BBHI", frame[:8])
        body = frame[8:]
        if opcode == SYNC:
            self.stub = False
            self._registers = dict(self.chip.registers)
            return self._reply(opcode, SYNC_VALUE) * 8
        if opcode in (FLASH_DATA, DEFLATED_DATA):
            self.blocks += 1
            body = self._wire(body)
        if len(body) != length:
            return self._reply(opcode, status=MALFORMED)
        return self._obey(opcode, body, checksum)

    def _wire(self, body: bytes) -> bytes:
        """What happens to a data block on its way."""
        if self.blocks == self.mood.unplug:
            raise UnpluggedError
        if self.blocks == self.mood.lose:
            return body[:100] + body[101:]
        return body

    def _reply(self, opcode: int, value: int = 0, data: bytes = b"", status: bytes = GOOD) -> bytes:
        body = data + (status if self.stub else status + b"\0\0")
        return framed(struct.pack("<BBHI", 1, opcode, len(body), value) + body)

    def _obey(self, opcode: int, body: bytes, checksum: int) -> bytes:
        words = struct.unpack(f"<{len(body) // 4}I", body[: len(body) // 4 * 4])
        if opcode == READ_REGISTER and words:
            return self._reply(opcode, self._registers.get(words[0], 0))
        if opcode == WRITE_REGISTER and len(words) == 4:
            self._set_register(words[0], words[1])
            return self._reply(opcode)
        if opcode == SECURITY_INFO and self.chip.chip_id is not None:
            info = struct.pack("<IB7sII", 0, 0, bytes(7), self.chip.chip_id, 0)
            return self._reply(opcode, data=info)
        if opcode in ACCEPTED:
            return self._reply(opcode)
        if opcode == MEM_END and words:
            reply = self._reply(opcode)
            if words[0] == 0:
                self.stub = True
                reply += framed(b"OHAI")
            return reply
        if opcode in (FLASH_BEGIN, DEFLATED_BEGIN) and len(words) >= 4:
            return self._begin(opcode, words)
        if opcode in (FLASH_DATA, DEFLATED_DATA) and len(words) >= 4:
            return self._data(opcode, body, checksum)
        if opcode == FLASH_MD5 and len(words) == 4:
            digest = hashlib.md5(self.flash.read(words[0], words[1]), usedforsecurity=False)
            text = digest.digest() if self.stub else digest.hexdigest().encode()
            return self._reply(opcode, data=text)
        if self.stub and opcode == ERASE_FLASH:
            self.flash.erase(0, self.flash.size)
            return self._reply(opcode)
        if self.stub and opcode == ERASE_REGION and len(words) == 2:
            self.flash.erase(*words)
            return self._reply(opcode)
        if self.stub and opcode == READ_FLASH and len(words) == 4:
            offset, length, block, _ = words
            self._reading = (offset, length, block, 0)
            return self._reply(opcode) + framed(self.flash.read(offset, min(block, length)))
        return self._reply(opcode, status=MALFORMED)

    def _acknowledged(self, frame: bytes) -> bytes:
        """The host says how much of a read it has; it gets the next block, and the MD5 of all after the last."""
        if self._reading is None or len(frame) != 4:
            self._reading = None
            return b""
        offset, length, block, _ = self._reading
        have = int.from_bytes(frame, "little")
        if have < length:
            return framed(self.flash.read(offset + have, min(block, length - have)))
        self._reading = None
        data = self.flash.read(offset, length)
        return framed(hashlib.md5(data, usedforsecurity=False).digest())

    def _set_register(self, address: int, value: int) -> None:
        if address == self.chip.spi and value & SPI_GO:
            # a command to the flash chip: it is done at once, and every question has one answer
            self._registers[self.chip.spi + self.chip.answer] = JEDEC_4_MIB
            value = 0
        self._registers[address] = value

    def _begin(self, opcode: int, words: tuple[int, ...]) -> bytes:
        size, _, block, offset = words[:4]
        if not 0 < block <= MAX_FRAME or offset + size > self.flash.size:
            return self._reply(opcode, status=FAILED)
        if not self.mood.forget:
            self.flash.erase(offset, size)
        inflate = zlib.decompressobj() if opcode == DEFLATED_BEGIN else None
        self._write = Write(offset, block, inflate)
        return self._reply(opcode)

    def _data(self, opcode: int, body: bytes, checksum: int) -> bytes:
        length, seq = struct.unpack("<II", body[:8])
        data = body[16:]
        expected = 0xEF
        for byte in data:
            expected ^= byte
        if len(data) != length or checksum != expected:
            return self._reply(opcode, status=BAD_CHECKSUM)
        if self.blocks >= self.mood.refuse > 0:
            return self._reply(opcode, status=FAILED)
        begun = self._write
        if seq < begun.next_seq:
            return self._reply(opcode)  # the host did not hear that we have it
        if seq > begun.next_seq:
            return self._reply(opcode, status=FAILED)
        begun.next_seq += 1
        if opcode == DEFLATED_DATA:
            if not isinstance(begun.inflate, type(zlib.decompressobj())):
                return self._reply(opcode, status=FAILED)
            try:
                data = begun.inflate.decompress(data)
            except zlib.error:
                return self._reply(opcode, status=FAILED)
        if not self.mood.forget:
            self.flash.write(begun.offset + begun.done, data)
        begun.done += len(data)
        return self._reply(opcode)


def serve(loader: Loader, link: Path) -> int:
    """Answer on a pseudo-terminal called `link` until killed or unplugged; the exit status."""
    ours, theirs = os.openpty()
    for end in (theirs, ours):
        tty.setraw(end, termios.TCSANOW)
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(os.ttyname(theirs))
    print(f"chip in download mode (simulator) on {link}", file=sys.stderr, flush=True)
    pending = bytearray()
    try:
        while True:
            select.select([ours], [], [])
            pending += os.read(ours, PIECE_BYTES)
            *frames, rest = bytes(pending).split(b"\xc0")
            pending = bytearray(rest[:MAX_FRAME])
            for frame in frames:
                if not frame:
                    continue
                out = loader.answer(unframed(frame))
                while out:
                    out = out[os.write(ours, out) :]
    except UnpluggedError:
        return 0
    except KeyboardInterrupt:
        return 130
    finally:
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        os.close(ours)
        os.close(theirs)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> int:
    parser = argparse.ArgumentParser(description="Play an ESP32 in download mode (a simulator).")
    parser.add_argument("--chip", choices=sorted(CHIPS), required=True)
    parser.add_argument("--pty", type=Path, metavar="LINK", required=True, help="name of the port")
    parser.add_argument(
        "--flash", type=Path, metavar="FILE", required=True, help="the chip's flash"
    )
    parser.add_argument("--mib", type=int, default=4, help="size of a new flash; 4")
    parser.add_argument("--mood", action="append", default=[], help="what goes wrong; see above")
    arguments = parser.parse_args()
    try:
        mood = Mood.parse(arguments.mood)
    except ValueError as error:
        parser.error(f"no mood {error}")
    signal.signal(signal.SIGTERM, _stop)
    flash = Flash(arguments.flash, arguments.mib * 2**20)
    return serve(Loader(CHIPS[arguments.chip], flash, mood), arguments.pty)


if __name__ == "__main__":
    raise SystemExit(main())
