"""Virtual boards that have MicroPython and nothing else, on serial ports (simulators), and a bug on their cable."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

from tests.parts import ROOT

BOARD = ROOT / "firmware" / "virtual" / "board.py"
START_S = 60.0


class BareBoard:
    """A board in `folder`, its port `folder`.tty; plugged in from `plug` to `unplug`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = folder.with_suffix(".tty")
        self._process: subprocess.Popen[bytes] | None = None

    def plug(self) -> None:
        argv = [sys.executable, str(BOARD), str(self.folder), "--pty", str(self.port), "--repl"]
        self._process = subprocess.Popen(argv, stderr=subprocess.DEVNULL, start_new_session=True)

    def wait(self) -> None:
        deadline = time.monotonic() + START_S
        while not self.port.exists():
            assert self._process is not None
            assert self._process.poll() is None, "the virtual board did not start"
            assert time.monotonic() < deadline, "the virtual board did not start in time"
            time.sleep(0.05)

    def unplug(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None
        self.port.unlink(missing_ok=True)

    @property
    def seed(self) -> bytes:
        """What nobody but the board may ever have: read from its simulated storage, as only a test may."""
        import json

        entry = json.loads((self.folder / "nvs.json").read_text())["tally"]["key"]
        return bytes.fromhex(entry)[:32]


@contextlib.contextmanager
def boards(folder: Path, count: int) -> Iterator[list[BareBoard]]:
    """`count` boards, plugged in."""
    made = [BareBoard(folder / f"board-{number:02}") for number in range(1, count + 1)]
    try:
        for board in made:
            board.plug()
        for board in made:
            board.wait()
        yield made
    finally:
        for board in made:
            board.unplug()


class Bug:
    """A pseudo-terminal between a program and a port that keeps all that passes. The port is open as long as the
    program has the pseudo-terminal open: a board may hear it being closed."""

    def __init__(self, port: Path, link: Path) -> None:
        self.link = link
        self.heard = bytearray()
        self._port = port
        self._far: int | None = None
        self._near, theirs = os.openpty()
        for end in (theirs, self._near):
            tty.setraw(end, termios.TCSANOW)
        link.symlink_to(os.ttyname(theirs))
        # with our own copy closed, the pseudo-terminal tells us whether a program has it open
        os.close(theirs)
        os.set_blocking(self._near, False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        while not self._ended.is_set():
            try:
                data = os.read(self._near, 4096)
            except BlockingIOError:
                data = b""
            except OSError:  # nobody is there
                self._hang_up()
                time.sleep(0.01)
                continue
            if self._far is None:
                self._far = os.open(self._port, os.O_RDWR | os.O_NOCTTY)
                tty.setraw(self._far, termios.TCSANOW)
            self._pass(data, self._far)
            if select.select([self._far], [], [], 0.002)[0]:
                with contextlib.suppress(OSError):
                    self._pass(os.read(self._far, 4096), self._near)

    def _pass(self, data: bytes, end: int) -> None:
        self.heard += data
        while data:
            try:
                data = data[os.write(end, data) :]
            except BlockingIOError:
                select.select([], [end], [], 0.1)

    def _hang_up(self) -> None:
        if self._far is not None:
            os.close(self._far)
            self._far = None

    def close(self) -> None:
        self._ended.set()
        self._thread.join(5)
        self._hang_up()
        os.close(self._near)
        self.link.unlink()


class Tap:
    """A TCP proxy in front of a broker that keeps all that passes."""

    def __init__(self, port: int) -> None:
        self.heard = bytearray()
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(4096):
                self.heard += data
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for one in self._open:
            one.close()
