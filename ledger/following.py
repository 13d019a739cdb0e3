"""A node that follows, at work: hears blocks and milestones, asks for what it lacks, raises the alarm.

It asks the ledger, over the same broker, for the blocks after its own head whenever it knows of a milestone that
it cannot take; first of all for the genesis block. An answer that does not come is asked for again.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from pathlib import Path
from typing import Final

import structlog

from tallystick import block, cbor, topics
from tallystick.errors import TallystickError
from tallystick_ledger import history
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.follower import Follower
from tallystick_ledger.history import Question
from tallystick_ledger.mqtt import Event, Link, Noted, Ready, Seen, Shown, Told
from tallystick_ledger.store import Store
from tallystick_ledger.turns import Turns

__all__ = ["Following", "fetch_genesis", "new_reply"]

_ASK_AGAIN_S: Final = 2.0
_SAID_EVERY: Final = 10_000  # blocks

log = structlog.get_logger("follower")


def new_reply() -> bytes:
    """A name for the answers that are meant for us."""
    return secrets.token_bytes(history.REPLY_BYTES)


class Following(Turns):
    """Runs a follower until `stop` is set."""

    def __init__(
        self, database: Path, ledger: bytes, link: Link, reply: bytes, stop: threading.Event
    ) -> None:
        super().__init__(database, link.inbox, stop)
        self._link = link
        self._reply = reply
        self._names = topics.Ledger(ledger)
        self._follower: Follower
        self._asked: tuple[int, float] | None = None  # position, and when
        self._alarmed = False
        self._said = 0

    def start(self, store: Store) -> None:
        """Before the first turn."""
        self._follower = Follower(store)

    def turn(self, events: list[Event]) -> None:
        """Take what has come, then ask for what is missing."""
        follower = self._follower
        blocks: list[bytes] = []
        for event in events:
            if isinstance(event, Shown | Seen):
                blocks.append(event.payload)
            elif isinstance(event, Told):
                blocks += self._told(event.payload)
            elif isinstance(event, Ready):
                self._asked, self._alarmed = None, False
        follower.seen(blocks)
        for one in follower.advance():
            # a milestone each is too many lines while history is read
            if one.size - self._said >= _SAID_EVERY or not follower.behind:
                self._said = one.size
                log.info("milestone", index=one.index, size=one.size, id=one.id.hex())
        for event in events:
            if isinstance(event, Noted):
                follower.noted(event.payload)
        if follower.fork:
            self._alarm()
        elif follower.behind:
            self._ask(follower.head.size)

    def _told(self, raw: bytes) -> list[bytes]:
        try:
            answer = history.parse_answer(raw)
        except TallystickError:
            return []
        if self._asked is None or answer.start != self._asked[0]:
            return []
        self._asked = None
        if answer.code == "history.pruned":
            raise LedgerError(
                f"the ledger has pruned its blocks from position {answer.start} on",
                hint="start from a snapshot: tally-ledger snapshot there, tally-ledger restore here",
            )
        return list(answer.blocks)

    def _ask(self, position: int) -> None:
        now = time.monotonic()
        if self._asked is not None and now - self._asked[1] < _ASK_AGAIN_S:
            return
        if self._link.publish(self._names.ask, Question(position, self._reply).encode()):
            self._asked = (position, now)

    def _alarm(self) -> None:
        """Log it once a connection, and leave it on the broker for everybody."""
        if self._alarmed:
            return
        index, first, second, code = self._follower.store.forks()[0]
        log.critical("the ledger forks", index=index, code=code)
        evidence = cbor.encode([code, first, second])
        if self._link.publish(self._names.fork, evidence, retain=True):
            self._alarmed = True


def fetch_genesis(link: Link, ledger: bytes, reply: bytes, stop: threading.Event) -> bytes | None:
    """Ask for the genesis block of `ledger` until it comes; None if `stop` is set before.

    `LedgerError` if the ledger does not have it any more.
    """
    names = topics.Ledger(ledger)
    asked = 0.0
    while not stop.is_set():
        now = time.monotonic()
        if now - asked >= _ASK_AGAIN_S and link.publish(names.ask, Question(0, reply).encode()):
            asked = now
        try:
            event = link.inbox.get(timeout=0.1)
        except queue.Empty:
            continue
        if not isinstance(event, Told):
            continue
        try:
            answer = history.parse_answer(event.payload)
        except TallystickError:
            continue
        if answer.blocks and block.ledger_id(answer.blocks[0]) == ledger:
            return answer.blocks[0]
    return None
