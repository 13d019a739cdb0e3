"""Serial ports: which there are, which board may be at each, and which one is meant.

A port is meant by its name (`/dev/ttyUSB0`, `COM5`), by the short words of mpremote (`u0` is /dev/ttyUSB0, `a0`
/dev/ttyACM0, `c5` COM5), by a board's USB serial number (`id:0123ABCD`), or not at all (`auto`): then it must be the
only one that fits. The numbers on USB say which bridge is on the board, not which board: several may fit one port.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tallystick_host.boards import Board
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.words import shown

__all__ = ["AUTO", "PERMISSION_HINT", "Port", "choose", "listed"]

AUTO: Final = "auto"
PERMISSION_HINT: Final = (
    "on Linux: sudo usermod -aG dialout $USER, then log in again; "
    "or the udev rule in docs/boards.md"
)
_SHORT: Final = re.compile("([auc])([0-9]{1,3})")
_SHORT_NAMES: Final = {"a": "/dev/ttyACM", "u": "/dev/ttyUSB", "c": "COM"}


@dataclass(frozen=True)
class Port:
    """A serial port with a USB device. `usb`: vendor:product; `trouble`: why it cannot be opened, or ""."""

    name: str
    usb: str
    serial: str
    description: str
    boards: tuple[str, ...]
    trouble: str

    def facts(self) -> dict[str, object]:
        """For `--json`."""
        return {**vars(self), "boards": list(self.boards)}


def listed(boards: Sequence[Board]) -> list[Port]:
    """The ports on USB, those that may be one of `boards` first."""
    from serial.tools import list_ports

    found = []
    for one in list_ports.comports():
        if one.vid is None or one.pid is None:
            continue
        usb = f"{one.vid:04x}:{one.pid:04x}"
        fits = tuple(board.id for board in boards if usb in board.usb)
        serial, description = shown(one.serial_number or ""), shown(one.description or "")
        found.append(Port(one.device, usb, serial, description, fits, _trouble(one.device)))
    return sorted(found, key=lambda port: (not port.boards, port.name))


def choose(text: str, boards: Sequence[Board]) -> str:
    """The name of the port that `text` means; `boards`: those that are looked for with `auto`."""
    short = _SHORT.fullmatch(text)
    if short:
        return _SHORT_NAMES[short[1]] + short[2]
    if text.startswith("id:"):
        for port in listed(boards):
            if port.serial == text[3:]:
                return port.name
        raise UndoneError(
            f"no board with the USB serial number {text[3:]!r}",
            code="port.none",
            hint="tally devices lists them",
        )
    if text != AUTO:
        return text
    fitting = [port for port in listed(boards) if port.boards]
    if not fitting:
        raise UndoneError(
            "no board on USB",
            code="port.none",
            hint="is it plugged in, with a cable that carries data? some only charge",
        )
    if len(fitting) > 1:
        names = ", ".join(
            port.name + (f" (id:{port.serial})" if port.serial else "") for port in fitting
        )
        raise UseError(
            f"{len(fitting)} boards on USB: {names}",
            code="port.several",
            hint="name one with --port",
        )
    if fitting[0].trouble:
        raise UndoneError(
            f"cannot open the port {fitting[0].name!r}: {fitting[0].trouble}",
            code="port.open",
            hint=PERMISSION_HINT,
        )
    return fitting[0].name


def _trouble(name: str) -> str:
    if os.name == "posix" and os.path.exists(name) and not os.access(name, os.R_OK | os.W_OK):
        return "permission denied"
    return ""
