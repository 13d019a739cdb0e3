"""The modem's serial line: a pseudo-terminal, lines in, bytes out in pieces of any size."""

from __future__ import annotations

import json
import os
import random
import select
import termios
import time
import tty
from pathlib import Path
from typing import Any

PIECE_PAUSE_S = 0.004


class Port:
    """The modem's end of the cable, and its power key. `moods` is what the tester wants it to be like."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._random = random.Random(seed)
        self._inner, self._outer = os.openpty()
        for end in (self._inner, self._outer):
            tty.setraw(end, termios.TCSANOW)
        path.unlink(missing_ok=True)
        path.symlink_to(os.ttyname(self._outer))
        self._power_path = path.with_name(f"{path.name}.power")
        self._power_path.unlink(missing_ok=True)
        os.mkfifo(self._power_path)
        self._power = os.open(self._power_path, os.O_RDWR | os.O_NONBLOCK)
        self._wake, self._waker = os.pipe()

    def close(self) -> None:
        """Take cable and key away."""
        self._path.unlink(missing_ok=True)
        self._power_path.unlink(missing_ok=True)
        for end in (self._inner, self._outer, self._power, self._wake, self._waker):
            os.close(end)

    def moods(self) -> dict[str, Any]:
        """What `moods.json` says now; {} where there is none."""
        try:
            found = json.loads(self._path.with_name("moods.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def wake(self) -> None:
        """End a `wait` from another thread: there is something to say."""
        os.write(self._waker, b".")

    def wait(self, seconds: float | None) -> tuple[bytes, bytes]:
        """(what the board has sent, what its power pin has done since)."""
        ready, _, _ = select.select([self._inner, self._power, self._wake], [], [], seconds)
        if self._wake in ready:
            os.read(self._wake, 64)
        sent = os.read(self._inner, 4096) if self._inner in ready else b""
        pressed = os.read(self._power, 64) if self._power in ready else b""
        return sent, pressed

    def say(self, data: bytes) -> None:
        """Send bytes; in `pieces` of random sizes, if the mood is so."""
        pieces = int(self.moods().get("pieces", 1))
        cuts = sorted(self._random.randrange(len(data) + 1) for _ in range(pieces - 1))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            view = data[start:end]
            while view:
                view = view[os.write(self._inner, view) :]
            if pieces > 1:
                time.sleep(PIECE_PAUSE_S)

    def garble(self) -> bytes:
        """Noise on the line: never a whole answer."""
        return bytes(
            self._random.choice(b"\xff\x00\x80#~") for _ in range(self._random.randrange(1, 9))
        )
