"""A fleet of virtual boards as our children: started, enrolled and ended together.

A board that ends by itself is started again, as a reset board would be. What the boards say is thrown away, but it is
read: a board whose output nobody reads stands still.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tallystick_host import boards, enrol
from tallystick_host.authority import Authority
from tallystick_host.console import Console, TransportError
from tallystick_host.enrol import Settings
from tallystick_host.enrolment import Device, Enrolment
from tallystick_host.errors import UndoneError
from tallystick_host.transport import VirtualBoard

__all__ = ["Fleet"]

_AT_A_TIME: Final = 4  # each makes a key and signs, which costs a processor a second


class Fleet:
    """The boards in the folders `folder`/sim-001, sim-002 ...; a context manager that leaves nothing running."""

    def __init__(
        self, folder: Path, enrolment_path: Path, who: Authority, settings: Settings
    ) -> None:
        self._folder = folder
        self._enrolment_path = enrolment_path
        self._who = who
        self._settings = settings
        self._kind = boards.kind(None, folder)
        self._started: list[VirtualBoard] = []  # every one, to be ended
        self._running: dict[str, VirtualBoard] = {}  # enrolled: nobody else reads them
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        for board in list(self._started):
            board.close()

    def start(self, count: int) -> Iterator[Device]:
        """Start and enrol `count` boards; each as it runs."""
        self._folder.mkdir(parents=True, exist_ok=True)
        names = [f"sim-{number:03}" for number in range(1, count + 1)]
        # the first alone: it compiles the agent and gives the file its grant
        yield self._enrolled(names[0])
        pool = ThreadPoolExecutor(_AT_A_TIME)
        try:
            for device in pool.map(self._enrolled, names[1:]):
                yield device
                self.listen(0)
        except BaseException:
            self._closed = True
            for board in list(self._started):
                board.close()  # whoever waits for its answer hears that it has ended
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def listen(self, seconds: float) -> None:
        """Take what the boards say for about so long; start again those that have ended."""
        deadline = time.monotonic() + seconds
        while True:
            for name, board in list(self._running.items()):
                try:
                    board.read(0)
                except TransportError:
                    board.close()
                    self._running[name] = self._start(name)
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.1))

    def _enrolled(self, name: str) -> Device:
        board = self._start(name)
        console = Console(board)
        console.wake()
        result = enrol.enrol(
            console,
            Enrolment.load(self._enrolment_path, or_new=True),
            self._who,
            settings=self._settings,
            name=name,
            kind=self._kind,
        )
        enrol.start(console)
        self._running[name] = board
        return result.device

    def _start(self, name: str) -> VirtualBoard:
        if self._closed:
            raise UndoneError("the fleet is being ended")
        board = VirtualBoard(self._folder / name)
        self._started.append(board)
        return board
