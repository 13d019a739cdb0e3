"""Signatures of many records at once, on all cores.

`cryptography` lets the interpreter go while it verifies, so threads are enough. A batch is cut into
parts, one thread takes one part after the other; a small one is verified where it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

__all__ = ["Verifiers"]

_PART: Final = 32  # records that a thread takes at once
_MOST_THREADS: Final = 4
_SWITCH_S: Final = 0.0005


class Verifiers:
    """`run` does pieces of work that keep their results to themselves and raise nothing."""

    def __init__(self) -> None:
        self._threads = min(os.cpu_count() or 1, _MOST_THREADS)
        self._pool: ThreadPoolExecutor | None = None

    def run(self, work: Sequence[Callable[[], None]]) -> None:
        """Return when all of it is done."""
        if self._threads == 1 or len(work) < 2 * _PART:
            _all(work)
            return
        if self._pool is None:
            # a thread that comes back from a signature waits for the interpreter: not for 5 ms, a
            # dozen signatures' time
            sys.setswitchinterval(_SWITCH_S)
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="verifier")
        parts = [work[at : at + _PART] for at in range(0, len(work), _PART)]
        for done in [self._pool.submit(_all, part) for part in parts]:
            done.result()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _all(work: Sequence[Callable[[], None]]) -> None:
    for one in work:
        one()
