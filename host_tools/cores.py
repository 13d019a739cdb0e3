"""Files judged on many cores, in their order.

Many files: each process judges whole files, a batch at a time, so that small files do not spend their time on the way.
One large file: its signatures, nine tenths of the work, are verified in slices by the other processes. Memory is
bounded: only so many batches are under way as there are processes to take them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final, Self, TypeVar

from tallystick.cose import Signed
from tallystick.keys import PublicKey
from tallystick.verification.records import check_signatures
from tallystick_host.errors import UndoneError
from tallystick_host.judgement import Judged, Settings, judge
from tallystick_host.proof_files import ProofFile

__all__ = ["PARALLEL_BYTES", "judged"]

PARALLEL_BYTES: Final = 400_000  # less than this is judged before other processes have started
_BATCH_BYTES: Final = 2**20
_BATCH_FILES: Final = 256
_SLICE: Final = 1_000  # signatures
_AHEAD: Final = 2  # batches under way for each process
_LOOK_S: Final = 0.2  # how often Ctrl-C is looked for

T = TypeVar("T")

_settings: Settings | None = None  # of the run, in each process


def judged(
    given: Sequence[ProofFile],
    sizes: Sequence[int],
    settings: Settings,
    jobs: int,
    step: Callable[[int], None],
) -> Iterator[Judged]:
    """The verdict on each file, in order. `step` is told how many bytes are done."""
    compare = len(given) > 1
    if jobs < 2 or sum(sizes) < PARALLEL_BYTES:
        for file, size in zip(given, sizes, strict=True):
            yield judge(file, settings, compare=compare)
            step(size)
        return
    with _Interruption() as interruption:
        pool = ProcessPoolExecutor(jobs, initializer=_start, initargs=(settings, os.getpid()))
        try:
            if len(given) < jobs:
                yield from _sliced(pool, given, sizes, settings, step, interruption)
            else:
                yield from _batched(pool, given, sizes, jobs, step, interruption)
        except BrokenProcessPool as error:
            raise UndoneError(
                "a process that was verifying ended", hint="out of memory? -j 1 needs the least"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Interruption:
    """Ctrl-C while other processes work: noted when it comes, raised where it finds the pool in order."""

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self._came = True

    def result(self, future: Future[T]) -> T:
        """What the future gives; `KeyboardInterrupt` if Ctrl-C came before it is there."""
        while True:
            if self._came:
                raise KeyboardInterrupt
            try:
                return future.result(_LOOK_S)
            except TimeoutError:
                if future.done():
                    raise


def _start(settings: Settings, parent: int) -> None:
    """In each process: the run's settings; Ctrl-C is the parent's to handle, and who outlives it ends."""
    global _settings
    _settings = settings
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A parent that was killed can tell nobody: end when it is gone."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)


# ---- many files


def _batched(
    pool: ProcessPoolExecutor,
    given: Sequence[ProofFile],
    sizes: Sequence[int],
    jobs: int,
    step: Callable[[int], None],
    interruption: _Interruption,
) -> Iterator[Judged]:
    under_way: deque[tuple[Future[list[Judged]], int]] = deque()
    batches = _batches(given, sizes)
    for batch, size in batches:
        under_way.append((pool.submit(_judge_all, batch), size))
        if len(under_way) >= _AHEAD * jobs:
            yield from _done(under_way, step, interruption)
    while under_way:
        yield from _done(under_way, step, interruption)


def _done(
    under_way: deque[tuple[Future[list[Judged]], int]],
    step: Callable[[int], None],
    interruption: _Interruption,
) -> Iterator[Judged]:
    future, size = under_way.popleft()
    yield from interruption.result(future)
    step(size)


def _batches(
    given: Sequence[ProofFile], sizes: Sequence[int]
) -> Iterator[tuple[list[ProofFile], int]]:
    batch: list[ProofFile] = []
    total = 0
    for file, size in zip(given, sizes, strict=True):
        if batch and (total + size > _BATCH_BYTES or len(batch) == _BATCH_FILES):
            yield batch, total
            batch, total = [], 0
        batch.append(file)
        total += size
    if batch:
        yield batch, total


def _judge_all(batch: list[ProofFile]) -> list[Judged]:
    if _settings is None:
        raise RuntimeError("a process without settings")
    return [judge(file, _settings, compare=True) for file in batch]


# ---- one large file


def _sliced(
    pool: ProcessPoolExecutor,
    given: Sequence[ProofFile],
    sizes: Sequence[int],
    settings: Settings,
    step: Callable[[int], None],
    interruption: _Interruption,
) -> Iterator[Judged]:
    for file, size in zip(given, sizes, strict=True):
        done = 0

        def check(signed: Sequence[tuple[PublicKey, Signed]], size: int = size) -> list[str]:
            nonlocal done
            slices = [signed[at : at + _SLICE] for at in range(0, len(signed), _SLICE)]
            futures = [pool.submit(_check, list(one)) for one in slices]
            reasons: list[str] = []
            for one, future in zip(slices, futures, strict=True):
                bad = interruption.result(future)
                reasons += [bad.get(at, "") for at in range(len(one))]
                part = size * len(one) // len(signed)
                step(part)
                done += part
            return reasons

        yield judge(file, settings, compare=len(given) > 1, check=check)
        step(size - done)


def _check(signed: list[tuple[PublicKey, Signed]]) -> dict[int, str]:
    """Which of them fail, and why."""
    reasons = check_signatures(signed)
    return {at: reason for at, reason in enumerate(reasons) if reason}
