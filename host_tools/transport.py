"""Ways to a board's console: a serial port, or a virtual board as a child process."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tallystick_host import limits
from tallystick_host.console import TransportError
from tallystick_host.errors import UseError
from tallystick_host.words import shown, shown_path

if TYPE_CHECKING:
    import serial

__all__ = ["SerialPort", "VirtualBoard"]

_BAUD: Final = 115_200
_PIECE_BYTES: Final = 4096
_LAUNCHER: Final = Path("firmware", "virtual", "board.py")
_LAUNCHER_VARIABLE: Final = "TALLY_VIRTUAL_BOARD"


class SerialPort:
    """A board on a serial port, or on a pseudo-terminal that behaves as one. It runs on when we leave."""

    stays = True
    start_s = limits.CONSOLE_START_S
    hint = (
        "is it flashed, and is no other program on the port? press its reset button and try again"
    )

    def __init__(self, port: str) -> None:
        import serial

        self.name = shown(port)
        try:
            # exclusive: a second program on the port would take half of the answers
            self._serial: serial.Serial = serial.serial_for_url(
                port, _BAUD, timeout=0, write_timeout=limits.CONSOLE_ANSWER_S, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise TransportError(
                f"cannot open the port {self.name!r}: {_serial_reason(error)}",
                code="port.open",
                hint=_port_hint(error),
            ) from error

    def write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except (OSError, ValueError) as error:
            raise self._gone(error) from error

    def read(self, timeout_s: float) -> bytes:
        try:
            self._serial.timeout = timeout_s
            first: bytes = self._serial.read(1)
            waiting = self._serial.in_waiting if first else 0
            return first + (self._serial.read(min(waiting, _PIECE_BYTES)) if waiting else b"")
        except (OSError, ValueError, TypeError) as error:
            raise self._gone(error) from error

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._serial.close()

    def _gone(self, error: Exception) -> TransportError:
        return TransportError(
            f"{self.name} broke off: {_serial_reason(error)}",
            code="port.gone",
            hint="plug the board in again and repeat the command: it goes on where it was",
        )


class VirtualBoard:
    """A board without hardware (a simulator), started for as long as we talk to it."""

    stays = False
    start_s = limits.VIRTUAL_START_S
    hint = "start it by hand to see what it says: python firmware/virtual/board.py DIR"

    def __init__(self, folder: Path) -> None:
        self.name = f"the virtual board in {shown_path(folder)}"
        if os.name != "posix":
            raise UseError("a virtual board runs on Linux and macOS only")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the board
        self._process = subprocess.Popen(
            [sys.executable, str(launcher()), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is ours: we end the board, after its last answer
        )

    def write(self, data: bytes) -> None:
        if self._process.stdin is None:
            raise self._ended()
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def read(self, timeout_s: float) -> bytes:
        if self._process.stdout is None:
            raise self._ended()
        descriptor = self._process.stdout.fileno()
        ready, _, _ = select.select([descriptor], [], [], timeout_s)
        if not ready:
            return b""
        data = os.read(descriptor, _PIECE_BYTES)
        if not data:
            raise self._ended()
        return data

    def close(self) -> None:
        """Power off. What it has answered OK to is on its flash."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _ended(self) -> TransportError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        self._errors.seek(0)
        said = self._errors.read(limits.CONSOLE_LINE_BYTES).decode("utf-8", "replace").split("\n")
        lines = [line.strip() for line in said if line.strip()]
        error = next((line[7:] for line in lines if line.startswith("error: ")), "")
        hint = next((line[6:] for line in lines if line.startswith("hint: ")), "")
        if "runs in" in error:
            hint = "a board that runs is enrolled over its port: --port DIR/tty"
        return TransportError(
            f"{self.name} ended" + (f": {shown(error)}" if error else ""),
            code="virtual.ended",
            hint=shown(hint) or self.hint,
        )


def launcher() -> Path:
    """The program that runs a virtual board; it comes with the source, not with the installed package."""
    named = os.environ.get(_LAUNCHER_VARIABLE)
    places = [Path(__file__).resolve().parent.parent / _LAUNCHER, Path.cwd() / _LAUNCHER]
    for place in [Path(named)] if named else places:
        if place.is_file():
            return place
    raise UseError(
        f"no virtual board here: {str(_LAUNCHER)!r} is not found",
        hint=f"call tally in Tallystick's source folder, or name board.py in {_LAUNCHER_VARIABLE}",
    )


def _serial_reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    text = shown(str(error)).lower()
    return "it is no serial port" if "inappropriate ioctl" in text else text


def _port_hint(error: Exception) -> str:
    import errno

    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EACCES:
        return "on Linux: sudo usermod -aG dialout $USER, then log in again"
    if number in (errno.EBUSY, errno.EAGAIN):
        return "another program has the port open: close its monitor"
    from serial.tools import list_ports

    ports = [shown(port.device) for port in list_ports.comports() if port.vid is not None]
    return f"ports with a USB device: {', '.join(ports) or 'none'}"
