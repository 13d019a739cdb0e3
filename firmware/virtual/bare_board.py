"""A board out of the box, on one serial port: a chip in download mode that becomes what is flashed to it.

It is a simulator of two halves that are simulators themselves: the loader in the chip's ROM (rom_loader.py), and
behind it MicroPython with its REPL (board.py). The real esptool writes an image through the first; then the port
is that of a board with MicroPython and no files, as with a real board on its cable:

    python firmware/virtual/bare_board.py DIR --chip esp32c3 --pty DIR/tty
    tally up --port DIR/tty --enrolment fleet.json ...

DIR/chip.bin    the chip's flash, as esptool sees it. Nothing in it is ever run: whatever image was written, what starts
                is MicroPython's unix port
DIR/board       the virtual board, as in board.py

Rules
* A pseudo-terminal has no reset line. The chip starts when what was written last has been proven by its MD5, a program
  stands in its place, and the host closes the port: that is where esptool resets a board.
* A SYNC is a reset into download mode, power cut included, whatever runs.
* Erasing the whole flash erases the board's files and its non-volatile storage with it. Writing parts leaves them.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from firmware.virtual import board, rom_loader  # noqa: E402 - found where this file stands

KNOCK = b"\x07\x07\x12\x20" + b"\x55" * 32  # the body of a SYNC
PROGRAM_OFFSET = 0x10000
IMAGE_MAGIC = b"\xe9"
IDLE_MS = 20


class KnockedError(Exception):
    """A SYNC came while a program ran."""


class Chip(rom_loader.Loader):
    """The loader, and whether what it wrote can be started. `erased` is called when the whole flash is."""

    def __init__(
        self, kind: str, flash: rom_loader.Flash, mood: rom_loader.Mood, erased: Callable[[], None]
    ) -> None:
        super().__init__(rom_loader.CHIPS[kind], flash, mood)
        self._erased = erased
        self._written = False
        self.proven = False

    @property
    def bootable(self) -> bool:
        """Whether there is a program."""
        return self.flash.read(PROGRAM_OFFSET, 1) == IMAGE_MAGIC

    def answer(self, frame: bytes) -> bytes:
        given = super().answer(frame)
        opcode = frame[1] if len(frame) >= 8 and frame[0] == 0 else None
        if opcode in (rom_loader.FLASH_DATA, rom_loader.DEFLATED_DATA):
            self._written, self.proven = True, False
        elif opcode == rom_loader.FLASH_MD5:
            self.proven = self._written
        elif opcode == rom_loader.ERASE_FLASH and self.stub:
            self._erased()
        return given

    def started(self) -> None:
        """What was written runs: the next start waits for the next write."""
        self._written = self.proven = False


class Port(board.Cable):
    """The one pseudo-terminal of both halves."""

    def __init__(self, link: Path, target: Path) -> None:
        super().__init__(link, interrupts=target)
        os.set_blocking(self.ours, False)
        self._recent = b""

    def load(self, chip: Chip) -> None:
        """Be the chip in download mode until it starts. Raises UnpluggedError."""
        pending = bytearray()
        while True:
            try:
                data = os.read(self.ours, rom_loader.PIECE_BYTES)
            except BlockingIOError:
                select.select([self.ours], [], [], IDLE_MS / 1000)
                continue
            except OSError:  # nobody has the port open
                if chip.proven and chip.bootable:
                    chip.started()
                    return
                pending.clear()
                select.select([], [], [], IDLE_MS / 1000)
                continue
            pending += data
            *frames, rest = bytes(pending).split(b"\xc0")
            pending = bytearray(rest[: rom_loader.MAX_FRAME])
            for frame in frames:
                if frame:
                    self._show(chip.answer(rom_loader.unframed(frame)))

    def _type(self, typed: bytes, running: subprocess.Popen[bytes], to_board: int) -> None:
        self._recent = (self._recent + typed)[-2 * len(KNOCK) :]
        if KNOCK in self._recent:
            self._recent = b""
            raise KnockedError
        super()._type(typed, running, to_board)


def run_program(argv: list[str], folder: Path, port: Port, descriptor: int) -> None:
    """Run MicroPython through its resets and sleeps, until a SYNC."""
    target = folder / "flash"
    target.mkdir(exist_ok=True)
    (folder / "reset.json").unlink(missing_ok=True)  # this start is power-on
    while True:
        running = subprocess.Popen(
            [*argv, "--repl"],
            cwd=target,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(descriptor,),
            preexec_fn=board.wired,
        )
        try:
            if not board.rests(port.carry(running), folder):
                return
        except KnockedError:
            return
        finally:
            running.kill()
            running.wait()


def erase(folder: Path) -> None:
    """What is lost with the whole flash."""
    shutil.rmtree(folder / "flash", ignore_errors=True)
    (folder / "nvs.json").unlink(missing_ok=True)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> int:
    parser = argparse.ArgumentParser(description="Play a board out of the box (a simulator).")
    parser.add_argument("dir", type=Path, help="the board's folder; made if it is not there")
    parser.add_argument("--chip", choices=sorted(rom_loader.CHIPS), required=True)
    parser.add_argument("--pty", type=Path, metavar="LINK", required=True, help="name of the port")
    parser.add_argument("--mib", type=int, default=4, help="size of a new flash; 4")
    parser.add_argument("--mood", action="append", default=[], help="as in rom_loader.py")
    arguments = parser.parse_args()
    try:
        mood = rom_loader.Mood.parse(arguments.mood)
    except ValueError as error:
        parser.error(f"no mood {error}")
    folder: Path = arguments.dir / "board"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = board.lock(folder)
        bits, heap = board.chip(folder, None, None)
        board.install_rom(folder, bits)
        argv = board.command(bits, heap)
        flash = rom_loader.Flash(arguments.dir / "chip.bin", arguments.mib * 2**20)
    except (board.BoardError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _stop)
    chip = Chip(arguments.chip, flash, mood, lambda: erase(folder))
    port = Port(arguments.pty, folder / "flash")
    print(f"board out of the box (simulator) on {arguments.pty}", file=sys.stderr, flush=True)
    try:
        while True:
            if chip.bootable:
                run_program(argv, folder, port, descriptor)
            port.load(chip)
    except rom_loader.UnpluggedError:
        return 0
    except KeyboardInterrupt:
        return 130
    finally:
        port.close()


if __name__ == "__main__":
    raise SystemExit(main())
