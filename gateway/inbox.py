"""What has come and is not committed yet: bounded in messages and in bytes.

One thread puts and one takes, so that a message costs no lock: each side counts for itself.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from typing import Final, Generic, TypeVar

__all__ = ["Inbox"]

T = TypeVar("T")
_LOOK_S: Final = 0.01


class Inbox(Generic[T]):
    """A queue as `queue.Queue` is one, for exactly two threads."""

    def __init__(self, messages: int, size: int) -> None:
        """At most `messages`, and at most `size` bytes (one message more than that)."""
        self._messages, self._size = messages, size
        self._held: deque[tuple[T, int]] = deque()
        self._filled = threading.Event()
        self._in = 0  # bytes ever put
        self._out = 0  # bytes ever taken

    def put(self, event: T, size: int, timeout: float) -> None:
        """Put `event`, which weighs `size` bytes; `queue.Full` if there is no room in time."""
        if self._full():
            deadline = time.monotonic() + timeout
            while self._full():
                if time.monotonic() > deadline:
                    raise queue.Full
                time.sleep(_LOOK_S)
        self._in += size
        self._held.append((event, size))
        if not self._filled.is_set():
            self._filled.set()

    def get(self, timeout: float) -> T:
        """The oldest; `queue.Empty` if none comes in time."""
        if not self._held:
            self._filled.clear()
            if not self._held and not self._filled.wait(timeout):
                raise queue.Empty
        return self.get_nowait()

    def get_nowait(self) -> T:
        """The oldest; `queue.Empty` if there is none."""
        try:
            event, size = self._held.popleft()
        except IndexError:
            raise queue.Empty from None
        self._out += size
        return event

    def empty(self) -> bool:
        """Is nothing here?"""
        return not self._held

    def _full(self) -> bool:
        return len(self._held) >= self._messages or self._in - self._out > self._size

    def qsize(self) -> int:
        """How many there are."""
        return len(self._held)
