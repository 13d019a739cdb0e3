"""The one thread that writes: takes what the broker brings, makes milestones when due, publishes.

Order of every step: commit, publish, acknowledge. Whatever was committed and not published when the
process ended is found in the database at the next connection: retained topics are published again,
and confirmed receipts from the first position on whose receipts the broker has not acknowledged.

No milestone is made before the first connection: what the broker retains may show that this folder is
an old copy. Afterwards milestones go on without a broker, since they are the site's clock.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from paho.mqtt.client import MQTTMessageInfo

from tallystick import cbor, topics
from tallystick.cose import Signer
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.limits import ANCHOR_TOPICS, BATCH_MESSAGES, RECEIPTS_AT_ONCE
from tallystick_ledger.mqtt import Delivery, Event, Granted, Link, Ready, Shown
from tallystick_ledger.node import Node
from tallystick_ledger.store import Store

__all__ = ["Loop"]

_TURN_S: Final = 0.1  # how soon a stop or a publication is noticed

log = structlog.get_logger("ledger")


class Loop:
    """Runs a node until `stop` is set. `error` is None if that, and nothing else, ended it."""

    def __init__(
        self,
        database: Path,
        key: Signer,
        link: Link,
        interval_s: float,
        stop: threading.Event,
        clock: Callable[[], int] = lambda: int(time.time()),
        make_node: Callable[[Store, Signer, Callable[[], int]], Node] = Node,
    ) -> None:
        self._database = database
        self._make_node = make_node
        self._key = key
        self._link = link
        self._interval_s = interval_s
        self._stop = stop
        self._clock = clock
        self._ready = False  # was there a connection since the start?
        self._due = 0.0
        self._behind = False
        self._tips: list[bytes] = []
        self._sent: list[MQTTMessageInfo] = []  # confirmed receipts under way ...
        self._sent_upto = 0  # ... for the positions below this one
        self.error: LedgerError | None = LedgerError(
            "the writer ended unexpectedly", hint="nothing is lost: start again, and report the log"
        )

    def run(self) -> None:
        """The thread's body."""
        try:
            with Store.writing(self._database) as store:
                node = self._make_node(store, self._key, self._clock)
                while not self._stop.is_set():
                    self._turn(node)
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

    def _turn(self, node: Node) -> None:
        events = self._take()
        for event in events:
            if isinstance(event, Shown):
                node.shown(event.payload)
            elif isinstance(event, Granted):
                node.gateways.learn(event.payload)
        deliveries = [event for event in events if isinstance(event, Delivery)]
        if deliveries:
            self._submit(node, deliveries)
        if any(isinstance(event, Ready) for event in events):
            self._publish_all(node)
        if self._ready and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._interval_s
            self._tick(node)
        self._announce(node)
        self._publish_tips(node)

    def _take(self) -> list[Event]:
        """What has come, at most a batch of it; waits a little for the first."""
        wait = min(_TURN_S, self._due - time.monotonic()) if self._ready else _TURN_S
        events: list[Event] = []
        try:
            events.append(self._link.inbox.get(timeout=max(0.001, wait)))
            while len(events) < BATCH_MESSAGES:
                events.append(self._link.inbox.get_nowait())
        except queue.Empty:
            pass
        return events

    def _submit(self, node: Node, deliveries: list[Delivery]) -> None:
        names = topics.Ledger(node.ledger)
        answers = node.submit([delivery.payload for delivery in deliveries])
        for delivery, answer in zip(deliveries, answers, strict=True):
            receipt = answer.receipt
            if answer.attached is not None:
                self._link.publish(names.block(receipt.block), answer.attached.raw)
            self._link.publish(names.receipt(receipt.block), receipt.encode())
            delivery.acknowledge()
            log.info(
                "block",
                id=receipt.block.hex(),
                state=receipt.state.name.lower(),
                code=receipt.detail,
            )

    def _tick(self, node: Node) -> None:
        made = node.tick()
        for one in made:
            log.info("milestone", index=one.index, size=one.size, id=one.id.hex())
        behind_s = node.behind_s()
        if (behind_s > 0) != self._behind:
            self._behind = behind_s > 0
            if self._behind:
                log.warning("the clock is behind the newest milestone", seconds=behind_s)
            else:
                log.info("the clock is in order again")
        self._publish_milestone(node)

    def _publish_milestone(self, node: Node) -> None:
        if node.newest is None:
            return
        names = topics.Ledger(node.ledger)
        note = node.store.checkpoint(node.newest.index)
        self._link.publish(names.milestone, node.newest.block.raw, retain=True)
        if note is not None:
            self._link.publish(names.checkpoint, note, retain=True)

    def _publish_all(self, node: Node) -> None:
        """A new connection: everything retained again, and the receipts that were under way."""
        if not self._ready:
            self._ready, self._due = True, time.monotonic()
        self._sent, self._tips = [], []
        self._publish_milestone(node)
        for gateway in node.store.gateways(ANCHOR_TOPICS):
            self._publish_anchor(node, gateway)

    def _publish_anchor(self, node: Node, gateway: bytes) -> None:
        newest = node.store.newest_anchor(gateway)
        confirmed = None if newest is None else node.receipt(newest).confirmed
        if confirmed is not None:
            topic = topics.Ledger(node.ledger).anchor(gateway)
            self._link.publish(topic, confirmed.encode(), retain=True)

    def _publish_tips(self, node: Node) -> None:
        tips = node.tips()
        if tips != self._tips and self._link.publish(
            topics.Ledger(node.ledger).tips, cbor.encode(tips), retain=True
        ):
            self._tips = tips

    def _announce(self, node: Node) -> None:
        """Confirmed receipts, and the newest anchors among them, a bounded number at once."""
        if not self._link.connected:
            return
        if self._sent:
            if not all(info.is_published() for info in self._sent):
                return
            node.announced, self._sent = self._sent_upto, []
        found = node.store.outsiders_confirmed(node.announced, RECEIPTS_AT_ONCE)
        if not found:
            node.announced = node.head.size
            return
        sent: list[MQTTMessageInfo] = []
        gateways: set[bytes] = set()
        for _, name in found:
            receipt = node.receipt(name)
            info = self._link.publish(topics.Ledger(node.ledger).receipt(name), receipt.encode())
            if info is None:
                return  # all of these again, at the next turn or connection
            sent.append(info)
            gateway = node.store.gateway_of(name)
            if gateway is not None:
                gateways.add(gateway)
        for gateway in gateways:
            self._publish_anchor(node, gateway)
        self._sent, self._sent_upto = sent, found[-1][0] + 1
