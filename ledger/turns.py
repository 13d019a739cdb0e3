"""The one thread that writes to the database: it takes what the broker brings, in batches, until it is stopped."""

from __future__ import annotations

import queue
import sqlite3
import threading
from pathlib import Path
from typing import Final

from tallystick_ledger.errors import LedgerError
from tallystick_ledger.limits import BATCH_MESSAGES
from tallystick_ledger.mqtt import Event, Inbox
from tallystick_ledger.store import Store

__all__ = ["Turns"]

_TURN_S: Final = 0.1  # how soon a stop or a publication is noticed


class Turns:
    """`run` is the thread's body. `error` is None if `stop`, and nothing else, ended it."""

    def __init__(self, database: Path, inbox: Inbox, stop: threading.Event) -> None:
        self._database = database
        self._inbox = inbox
        self._stop = stop
        self.error: LedgerError | None = LedgerError(
            "the writer ended unexpectedly", hint="nothing is lost: start again, and report the log"
        )

    def start(self, store: Store) -> None:
        """Called once, in the thread, before the first turn."""
        raise NotImplementedError

    def turn(self, events: list[Event]) -> None:
        """What to do with what has come, and with the time that has passed."""
        raise NotImplementedError

    def wait_s(self) -> float:
        """How long a turn may wait for the first event."""
        return _TURN_S

    def run(self) -> None:
        """Turn after turn until the stop; whatever ends it, everybody else is stopped as well."""
        try:
            with Store.writing(self._database) as store:
                self.start(store)
                while not self._stop.is_set():
                    self.turn(self._take())
            self.error = None
        except LedgerError as error:
            self.error = error
        except sqlite3.Error as error:
            self.error = LedgerError(
                f"the database fails: {error}",
                hint="see that the disk has room and is sound, then start again",
            )
        finally:
            self._stop.set()

    def _take(self) -> list[Event]:
        """What has come, at most a batch of it; waits a little for the first."""
        events: list[Event] = []
        try:
            events.append(self._inbox.get(timeout=max(0.001, min(_TURN_S, self.wait_s()))))
            while len(events) < BATCH_MESSAGES:
                events.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return events
