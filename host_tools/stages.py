"""What a long work says of itself on stderr: one line a stage; for a person also how far it is.

The names of the stages are those of browser flashers: preparing, erasing, writing, finished.
"""

from __future__ import annotations

import sys

from tallystick_host import terminal

__all__ = ["Stages"]


class Stages:
    """`prefix` stands before each line: of several works at once, which one."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._open = False

    def say(self, stage: str, detail: str = "") -> None:
        """A stage begins."""
        self._close()
        terminal.talk(f"{self._prefix}{stage}" + (f": {detail}" if detail else ""))

    def progress(self, stage: str, percent: float) -> None:
        """How far it is; nothing where nobody looks."""
        if not self._prefix and terminal.can_progress():
            sys.stderr.write(f"\r{stage}: {percent:5.1f} %")
            sys.stderr.flush()
            self._open = True

    def _close(self) -> None:
        if self._open:
            sys.stderr.write("\n")
            self._open = False
