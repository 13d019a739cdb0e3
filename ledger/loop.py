"""The ledger that signs, at work: takes what the broker brings, makes milestones when due, publishes.

Order of every step: commit, publish, acknowledge. Whatever was committed and not published when the
process ended is found in the database at the next connection: retained topics are published again,
and confirmed receipts from the first position on whose receipts the broker has not acknowledged.

No milestone is made before the first connection: what the broker retains may show that this folder is
an old copy. Afterwards milestones go on without a broker, since they are the site's clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from paho.mqtt.client import MQTTMessageInfo

from tallystick import cbor, topics
from tallystick.cose import Signer
from tallystick.errors import TallystickError
from tallystick.milestone import Milestone
from tallystick_ledger import history
from tallystick_ledger.limits import (
    ANCHOR_TOPICS,
    ANSWERS_A_SECOND,
    HISTORY_BLOCKS,
    HISTORY_BYTES,
    RECEIPTS_AT_ONCE,
    ROUND_S,
)
from tallystick_ledger.mqtt import Asked, Delivery, Event, Granted, Link, Ready, Shown
from tallystick_ledger.node import Node
from tallystick_ledger.prune import prunable, prune
from tallystick_ledger.store import Store
from tallystick_ledger.turns import Turns
from tallystick_ledger.witnesses import Cosigned, Witnesses

__all__ = ["Loop"]

log = structlog.get_logger("ledger")


class Loop(Turns):
    """Runs a node until `stop` is set."""

    def __init__(
        self,
        database: Path,
        key: Signer,
        link: Link,
        interval_s: float,
        stop: threading.Event,
        *,
        witnesses: Witnesses | None = None,
        keep_s: float | None = None,
        clock: Callable[[], int] = lambda: int(time.time()),
        make_node: Callable[[Store, Signer, Callable[[], int]], Node] = Node,
    ) -> None:
        super().__init__(database, link.inbox, stop)
        self._make_node = make_node
        self._key = key
        self._link = link
        self._interval_s = interval_s
        self._witnesses = witnesses
        self._keep_s = keep_s
        self._clock = clock
        self._node: Node
        self._ready = False  # was there a connection since the start?
        self._due = 0.0
        self._turned = 0.0  # when the round began
        self._behind = False
        self._changes = 0  # of the DAG, as of the tips that were published
        self._sent: list[MQTTMessageInfo] = []  # confirmed receipts under way ...
        self._sent_upto = 0  # ... for the positions below this one
        self._told: list[float] = []  # when questions were answered, within a second

    def start(self, store: Store) -> None:
        """Before the first turn."""
        if self._witnesses is not None:
            # a witness who has cosigned more than is here has seen another future of this folder
            self._witnesses.compare(store)
        self._node = self._make_node(store, self._key, self._clock)

    def wait_s(self) -> float:
        """Not beyond the next milestone."""
        return self._due - time.monotonic() if self._ready else self._interval_s

    def turn(self, events: list[Event]) -> None:
        """Commit, publish, acknowledge."""
        node = self._node
        for event in events:
            if isinstance(event, Shown):
                node.shown(event.payload)
            elif isinstance(event, Granted):
                node.gateways.learn(event.payload)
            elif isinstance(event, Asked):
                self._tell(node, event.payload)
        deliveries = [event for event in events if isinstance(event, Delivery)]
        if deliveries:
            self._submit(node, deliveries)
        if any(isinstance(event, Ready) for event in events):
            self._publish_all(node)
        if self._ready and time.monotonic() >= self._due:
            now = time.monotonic()
            self._due = now + self._interval_s
            # a round is an interval, but long enough for a block to travel
            turned = now - self._turned >= ROUND_S
            self._turned = now if turned else self._turned
            self._milestones(node, node.tick(new_round=turned))
        elif self._ready and (made := node.relieve()):
            self._milestones(node, made)
        if self._witnesses is not None:
            for cosigned in self._witnesses.answers():
                self._cosigned(node, cosigned)
        self._announce(node)
        self._publish_tips(node)

    def _tell(self, node: Node, raw: bytes) -> None:
        """Blocks for one who follows; too many questions are not answered."""
        now = time.monotonic()
        self._told = [moment for moment in self._told if now - moment < 1]
        if len(self._told) >= ANSWERS_A_SECOND:
            return
        try:
            asked = history.parse_question(raw)
        except TallystickError:
            return
        self._told.append(now)
        found: list[bytes] = []
        for block in node.store.export(asked.start, HISTORY_BLOCKS):
            found.append(block)
            if sum(map(len, found)) > HISTORY_BYTES:
                break
        pruned = asked.start + len(found) < node.store.pruned()
        answer = history.Answer(asked.start, found, "history.pruned" if pruned else "")
        self._link.publish(topics.Ledger(node.id).history(asked.reply), answer.encode())

    def _cosigned(self, node: Node, cosigned: Cosigned) -> None:
        """A witness's line for a milestone's note: keep it, then publish it."""
        with node.store.transaction():
            note = node.store.cosign(cosigned.index, cosigned.line)
        log.info("cosigned", index=cosigned.index, witness=cosigned.witness)
        if note is not None and node.newest is not None and node.newest.index == cosigned.index:
            self._link.publish(topics.Ledger(node.id).checkpoint, note, retain=True)

    def _submit(self, node: Node, deliveries: list[Delivery]) -> None:
        names = topics.Ledger(node.id)
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

    def _milestones(self, node: Node, made: Sequence[Milestone]) -> None:
        names = topics.Ledger(node.id)
        for one in made:
            self._link.publish(names.block(one.id), one.block.raw)
            log.info("milestone", index=one.index, size=one.size, id=one.id.hex())
        behind_s = node.behind_s()
        if (behind_s > 0) != self._behind:
            self._behind = behind_s > 0
            if self._behind:
                log.warning("the clock is behind the newest milestone", seconds=behind_s)
            else:
                log.info("the clock is in order again")
        self._publish_milestone(node)
        if self._witnesses is not None:
            self._witnesses.submit(made[-1].index)
        if self._keep_s is not None:
            # what nobody has been told of yet stays
            upto = prunable(node.store, int(self._clock() - self._keep_s))
            prune(node.store, min(upto, node.announced))

    def _publish_milestone(self, node: Node) -> None:
        if node.newest is None:
            return
        names = topics.Ledger(node.id)
        note = node.store.checkpoint(node.newest.index)
        self._link.publish(names.milestone, node.newest.block.raw, retain=True)
        if note is not None:
            self._link.publish(names.checkpoint, note, retain=True)

    def _publish_all(self, node: Node) -> None:
        """A new connection: everything retained again, and the receipts that were under way."""
        if not self._ready:
            self._ready, self._due = True, time.monotonic()
        self._sent, self._changes = [], 0
        self._publish_milestone(node)
        for gateway in node.store.gateways(ANCHOR_TOPICS):
            self._publish_anchor(node, gateway)

    def _publish_anchor(self, node: Node, gateway: bytes) -> None:
        newest = node.store.newest_anchor(gateway)
        confirmed = None if newest is None else node.receipt(newest).confirmed
        if confirmed is not None:
            topic = topics.Ledger(node.id).anchor(gateway)
            self._link.publish(topic, confirmed.encode(), retain=True)

    def _publish_tips(self, node: Node) -> None:
        if node.changes != self._changes and self._link.publish(
            topics.Ledger(node.id).tips, cbor.encode(node.tips()), retain=True
        ):
            self._changes = node.changes

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
        for _, name, gateway in found:
            receipt = node.receipt(name)
            info = self._link.publish(topics.Ledger(node.id).receipt(name), receipt.encode())
            if info is None:
                return  # all of these again, at the next turn or connection
            sent.append(info)
            if gateway is not None:
                gateways.add(gateway)
        for gateway in gateways:
            self._publish_anchor(node, gateway)
        self._sent, self._sent_upto = sent, found[-1][0] + 1
