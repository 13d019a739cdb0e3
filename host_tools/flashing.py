"""MicroPython onto a board's chip, through the real esptool, without touching what makes the board this board.

1. Connect: which chip, how much flash. Another chip than the board's ends it here, with nothing written.
2. Read the partition table of the chip (no more: what else is in flash may be a key).
3. Decide what the board is:

   ========= ==================================================================================================
   update    its table is that of the image: bootloader, table and program are written, its data stay
   bare      no table, and nothing where the image has its nvs: everything is erased first
   foreign   another table, or data without a table: refused, because the key would be lost if there is one
   ========= ==================================================================================================

   `erase_identity` makes a bare board out of any.
4. Write. esptool asks the chip for the MD5 of each part; one that differs ends it.

nvs is never read: whether it is empty is asked by its MD5. A flashing that broke off is repeated.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallystick_host import programs
from tallystick_host.boards import Board
from tallystick_host.errors import HostError, RefusedError, UndoneError
from tallystick_host.image import TABLE_BYTES, TABLE_OFFSET, Image, partitions
from tallystick_host.ports import PERMISSION_HINT
from tallystick_host.programs import Ended
from tallystick_host.stages import Stages
from tallystick_host.words import shown

__all__ = ["Chip", "Esptool", "check_chip", "download_hint", "write"]

BAUD: Final = 460_800
_ATTEMPTS: Final = 5
_CHIP: Final = re.compile(r"^Detecting chip type\.* *(?P<name>ESP32[-A-Z0-9]*)")
# chips with 802.15.4 say eight bytes first (EUI-64), and then the six that are on the module
_MAC: Final = re.compile(r"^(?:BASE )?MAC: +(?P<mac>[0-9a-f:]{17})$")
_SIZE: Final = re.compile(r"^Detected flash size: +(?P<mib>[0-9]+)MB")
_WRITING: Final = re.compile(r"^Writing at 0x(?P<address>[0-9a-f]+) .*?(?P<percent>[0-9.]+)%")
_WROTE: Final = re.compile(r"^Wrote .*at 0x(?P<address>[0-9a-f]+)")
_VERIFIED: Final = "Hash of data verified."
_FATAL: Final = "A fatal error occurred: "


@dataclass(frozen=True)
class Chip:
    """What the chip says of itself: `name` as boards write it (esp32s3), `mac` as printed on modules."""

    name: str
    mac: str
    flash_mib: int


class Esptool:
    """esptool on one port. The chip stays in its loader between calls, until the one with `last`."""

    def __init__(self, port: str, *, attempts: int = _ATTEMPTS, baud: int = BAUD) -> None:
        self.port = port
        self._attempts = attempts
        self._baud = baud
        self._connected = False

    def __call__(
        self,
        *argv: str,
        chip: str = "auto",
        board: Board | None = None,
        last: bool = False,
        may_differ: bool = False,
        heard: Callable[[str], None] = lambda _: None,
    ) -> Ended:
        """Run one command; raises what its failure means. `may_differ`: status 2 of verify-flash is an answer."""
        words = ["--chip", chip, "--port", self.port]
        words += ["--before", "no-reset" if self._connected else "default-reset"]
        words += ["--after", "hard-reset" if last else "no-reset"]
        words += ["--connect-attempts", str(self._attempts)]
        # the lower rate for small things: the chip must be found again at the rate it starts with
        words += ["--baud", str(self._baud if last else 115_200)]
        ended = programs.run("esptool", [*words, *argv], heard=heard)
        if ended.status != 0:
            if may_differ and "Verification failed" in ended.text:
                self._connected = True
                return ended
            raise _failure(ended, self.port, board)
        self._connected = True
        return ended

    def connect(self, board: Board | None) -> Chip:
        """Find out what is there."""
        found = {"name": "", "mac": "", "mib": "0"}
        for line in self("flash-id", board=board).lines:
            for pattern in (_CHIP, _MAC, _SIZE):
                match = pattern.match(line.strip())
                if match:
                    found |= match.groupdict()
        name = found["name"].replace("-", "").lower()
        if not name:
            raise UndoneError("esptool names no chip", code="flash.chip")
        return Chip(name, found["mac"], int(found["mib"]))


def download_hint(board: Board | None) -> str:
    """How this board gets into download mode, as one line of steps."""
    if board is None:
        steps: Sequence[str] = (
            "hold BOOT",
            "press and release EN (or RST)",
            "release BOOT",
        )
        name = "most boards"
    else:
        steps, name = board.recipe, board.id
    numbered = ", ".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))
    return f"download mode of {name}: {numbered}; then repeat the command"


def check_chip(chip: Chip, board: Board) -> None:
    """Refuse another chip, and a flash that is too small, before anything is written."""
    if chip.name != board.chip:
        raise RefusedError(
            f"the chip is an {chip.name}, {board.id} has an {board.chip}; nothing was written",
            code="flash.chip",
            hint="name the board that it is with --board; tally boards lists them",
        )
    if 0 < chip.flash_mib * 2**20 < board.flash_bytes:
        raise RefusedError(
            f"the chip has {chip.flash_mib} MB of flash, {board.id} has "
            f"{board.flash_bytes // 2**20}; nothing was written",
            code="flash.size",
        )


def write(
    tool: Esptool, board: Board, image: Image, stages: Stages, *, erase_identity: bool = False
) -> str:
    """Steps 2 to 4. What the board was: update, bare, or erased."""
    with tempfile.TemporaryDirectory(prefix="tally-flash-") as name:
        folder = Path(name)
        state = "erased" if erase_identity else _state(tool, board, image, folder)
        argv = ["write-flash"]
        if state != "update":
            stages.say("erasing", "the whole flash")
            argv.append("--erase-all")
        for part in image.parts:
            path = folder / f"{part.offset:x}.bin"
            path.write_bytes(part.data)
            argv += [f"{part.offset:#x}", str(path)]
        verified = _write(tool, board, image, argv, stages)
    if verified < len(image.parts):
        raise RefusedError(
            f"only {verified} of {len(image.parts)} parts were verified", code="flash.verify"
        )
    return state


def _write(tool: Esptool, board: Board, image: Image, argv: list[str], stages: Stages) -> int:
    """Write and verify; how many parts the chip has as they were sent."""
    names = {part.offset: part.what for part in image.parts}
    verified = 0

    def heard(line: str) -> None:
        nonlocal verified
        text = line.strip()
        match = _WRITING.match(text)
        if match:
            address = int(match["address"], 16)
            part = max((one for one in names if one <= address), default=0)
            stages.progress(f"writing {names.get(part, '')}", float(match["percent"]))
        match = _WROTE.match(text)
        if match:
            stages.say("written", names.get(int(match["address"], 16), match["address"]))
        verified += text == _VERIFIED

    total = sum(len(part.data) for part in image.parts)
    stages.say("writing", f"{len(image.parts)} parts, {total / 1e6:.1f} MB")
    tool(*argv, chip=board.chip, board=board, last=True, heard=heard)
    return verified


def _state(tool: Esptool, board: Board, image: Image, folder: Path) -> str:
    """Is this board bare, or does it keep what it has? `RefusedError` if neither is sure."""
    path = folder / "table.bin"
    tool(
        "read-flash",
        f"{TABLE_OFFSET:#x}",
        f"{TABLE_BYTES:#x}",
        str(path),
        chip=board.chip,
        board=board,
    )
    present = partitions(path.read_bytes())
    if present == image.partitions:
        return "update"
    if not present and _is_blank(tool, board, image, folder):
        return "bare"
    labels = ", ".join(one.label for one in present) or "none that can be read"
    raise RefusedError(
        f"the flash is divided another way (partitions: {labels}): a key would be lost",
        code="flash.layout",
        hint="a board that was never enrolled, or may get a new identity: --erase-identity",
    )


def _is_blank(tool: Esptool, board: Board, image: Image, folder: Path) -> bool:
    """Is there nothing where the image has its nvs?"""
    for one in image.partitions:
        if one.label == "nvs":
            path = folder / "blank.bin"
            path.write_bytes(b"\xff" * one.size)
            argv = ["verify-flash", f"{one.offset:#x}", str(path)]
            if tool(*argv, chip=board.chip, board=board, may_differ=True).status != 0:
                return False
    return True


def _failure(ended: Ended, port: str, board: Board | None) -> HostError:
    """What esptool's words mean for the person at the table."""
    text = ended.text
    name = shown(port)
    unequal = ("MD5 of file does not match", "Verification failed", "Write failed, the written")
    if any(words in text for words in unequal):
        return RefusedError(
            "the flash does not hold what was written to it",
            code="flash.verify",
            hint="repeat it with a short cable and --baud 115200; if it stays so, the flash is worn",
        )
    if "Failed to connect" in text or "Wrong boot mode" in text or "download mode" in text:
        return UndoneError(
            f"the chip at {name} does not answer", code="flash.silent", hint=download_hint(board)
        )
    if "ermission denied" in text:
        return UndoneError(
            f"cannot open the port {name!r}: permission denied",
            code="port.open",
            hint=PERMISSION_HINT,
        )
    # a port that was there a moment ago was pulled out, and esptool looked for it again
    if "Connected to" not in text and ("Could not open" in text or "could not open port" in text):
        return UndoneError(
            f"cannot open the port {name!r}",
            code="port.open",
            hint="tally devices lists the ports; close any monitor that has it open",
        )
    fatal = [line.split(_FATAL, 1)[1] for line in ended.lines if _FATAL in line]
    words = ("serial exception", "input/output error", "disconnected", "could not open")
    reason = shown(fatal[-1] if fatal else ended.lines[-1] if ended.lines else "no word of why")
    return UndoneError(
        f"{name} broke off" if any(w in text.lower() for w in words) else f"esptool: {reason}",
        code="flash.broken",
        hint="check cable and plug, and repeat the command: key and records are not what it writes",
    )
