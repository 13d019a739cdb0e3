"""esptool and mpremote, run as programs of their own: `tally` speaks to a chip through those who know it best.

Rules
* They are never imported: what they do to this process ends with theirs, and their licences stay theirs.
* Their words are an outsider's: lines have a limit, and come out again only through `shown`.
* No secret goes into an argument list, which every user of the machine can read.
* They run in a session of their own and are ended when we are, Ctrl-C included.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tallystick_host import limits
from tallystick_host.errors import UndoneError, UseError

__all__ = ["Ended", "run"]

_KEPT_LINES: Final = 400
_PIECE_BYTES: Final = 4096


@dataclass(frozen=True)
class Ended:
    """How a program ended. `lines`: the last of what it said, on either stream."""

    status: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All lines as one text."""
        return "\n".join(self.lines)


def run(
    name: str,
    argv: Sequence[str],
    *,
    heard: Callable[[str], None] = lambda _: None,
    timeout_s: float = limits.PROGRAM_S,
) -> Ended:
    """Run the Python program `name` to its end; `heard` gets each line as it comes."""
    if importlib.util.find_spec(name) is None:
        raise UseError(f"{name} is not installed", hint="pip install 'tallystick[flash]'")
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-m", name, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    lines: list[str] = []
    try:
        for line in _lines(process, name, time.monotonic() + timeout_s):
            lines.append(line)
            del lines[:-_KEPT_LINES]
            heard(line)
        return Ended(process.wait(), tuple(lines))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            with contextlib.suppress(OSError):
                process.stdout.close()


def _lines(process: subprocess.Popen[bytes], name: str, deadline: float) -> Iterator[str]:
    """Its lines until it closes its output; a line ends in a line feed or a carriage return."""
    if process.stdout is None:
        return
    descriptor = process.stdout.fileno()
    pending = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise UndoneError(f"{name} did not end in time", code="program.timeout")
        if not select.select([descriptor], [], [], left)[0]:
            continue
        data = os.read(descriptor, _PIECE_BYTES)
        *whole, pending = (pending + data).replace(b"\r", b"\n").split(b"\n")
        if not data:
            whole, pending = [*whole, pending], b""
        pending = pending[-limits.PROGRAM_LINE_CHARS :]
        for raw in whole:
            line = raw[: limits.PROGRAM_LINE_CHARS].decode("utf-8", "replace").rstrip()
            if line:
                yield line
        if not data:
            return
