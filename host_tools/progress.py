"""A bar on stderr for long work, where a person looks; else nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from tallystick_host import terminal

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

__all__ = ["Progress"]

_LONG_BYTES: Final = 300_000  # about a second of work


class Progress:
    """`advance` says how many of `total` bytes are done."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        if self._total >= _LONG_BYTES and terminal.can_progress():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                Progress,
                TaskProgressColumn,
                TextColumn,
                TimeRemainingColumn,
            )

            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
            console = Console(stderr=True)
            self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
            self._task = self._bar.add_task(self._what, total=self._total)
            self._bar.start()
        return self

    def advance(self, done: int) -> None:
        """So many bytes more are done."""
        if self._bar is not None:
            self._bar.advance(self._task, done)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
