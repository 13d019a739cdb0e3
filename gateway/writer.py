"""The one thread that changes anything: takes what came, commits it, and tells the world.

For each batch, in this order: transaction, PUBACK, tiles, the fork guard, checkpoint,
acknowledgements, anchors. So a PUBACK follows the commit, a signature follows the tiles, and
whatever a board or the ledger shows of our own past is compared before the next signature. What
fails for want of disk is kept and tried again; what a message holds never ends the thread.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from tallystick import topics
from tallystick_gateway import bounds
from tallystick_gateway.acks import Acks
from tallystick_gateway.anchors import Anchors, LedgerKey
from tallystick_gateway.checkpoints import Checkpoints, HighWater
from tallystick_gateway.enrolment import EnrolmentError, EnrolmentFile
from tallystick_gateway.examine import Message
from tallystick_gateway.folder import Folder, FolderError, Identity
from tallystick_gateway.intake import Batch, Intake
from tallystick_gateway.log import Log
from tallystick_gateway.mqtt import Broker, Connected, Inbound, Subscribed
from tallystick_gateway.outbox import Outbox
from tallystick_gateway.past import Past
from tallystick_gateway.presence import Presence
from tallystick_gateway.store import Store

__all__ = ["Intervals", "Writer"]

log = structlog.get_logger()

_TICK_S: Final = 0.5
_SHORTEST_WAIT_S: Final = 0.005
_CLOCK_JUMP_S: Final = 30.0
_ENROLMENT: Final = "enrolment"  # the fact which enrolment file was found good
_UP: Final = topics.device_up().rpartition("+")[2]
_TROUBLE: Final = (sqlite3.Error, OSError, FolderError)


@dataclass(frozen=True)
class Intervals:
    """How often, in seconds: checkpoints, anchors; and how long the first signature waits for what
    others show.
    """

    checkpoint_s: float
    anchor_s: float
    settle_s: float


class Writer(threading.Thread):
    """`start`, then `stop`; `status` may be asked from any thread."""

    def __init__(
        self,
        folder: Folder,
        identity: Identity,
        ledger: LedgerKey,
        broker: Broker,
        intervals: Intervals,
        *,
        enrolment: Path,
        high_water: Path,
    ) -> None:
        super().__init__(name="writer")
        self._folder, self._identity, self._ledger = folder, identity, ledger
        self._broker, self._intervals = broker, intervals
        self._enrolment = EnrolmentFile(enrolment)
        self._high_water = HighWater(high_water)
        self._topics = topics.Gateway(identity.id)
        self._ledger_topics = topics.Ledger(ledger.id)
        self._stopping = threading.Event()
        self._reload = threading.Event()
        self.presence = Presence()
        self._held: list[Inbound] = []  # received, not committed
        self._leaves: list[bytes] = []  # committed, not in the tree yet
        self._tree: Log | None = None
        self._trouble = ""
        self._next_checkpoint = 0.0
        self._clock_offset: float | None = None  # of the wall clock to the monotonic one
        self._next_reload = 0.0

    # ---- from other threads

    def stop(self) -> None:
        """Finish the batch in hand and end."""
        self._stopping.set()

    def reload(self) -> None:
        """Read the enrolment again, changed or not."""
        self._reload.set()

    def session(self, device: bytes) -> int | None:
        """When a beacon of the device last brought back a nonce of this run, Unix seconds."""
        session = self._acks.sessions.get(device)
        return session.fresh_at if session else None

    @property
    def enrolment(self) -> EnrolmentFile:
        """The devices that may speak."""
        return self._enrolment

    def status(self) -> dict[str, object]:
        """What /healthz and the state topic say; `state` is `running` when all is well."""
        points = self._checkpoints
        state, reason = "running", ""
        if points.frozen is not None:
            state, reason = "frozen", points.frozen
        elif self._trouble:
            state, reason = "trouble", self._trouble
        elif not self.is_alive() and not self._stopping.is_set():
            state, reason = "trouble", "the writer has ended"
        elif not self._broker.is_connected:
            state, reason = "trouble", "not connected to the broker"
        elif not points.settled:
            state, reason = "starting", "waiting for what others show of our log"
        tree = self._tree
        return {
            "state": state,
            "reason": reason,
            "size": tree.size if tree else None,
            "signed": points.size,
            "pending": self._anchors.pending,
            "devices": len(self._enrolment.current.devices),
            "refused_entries": len(self._enrolment.current.refused),
        }

    # ---- the thread

    def open(self) -> None:
        """Bring up the state from disk; `FolderError` or `sqlite3.Error` if that fails. Call before
        `start`.
        """
        self._folder.path.mkdir(parents=True, exist_ok=True)
        store = Store.open(self._folder.database)
        self._store = store
        self._enrolment.good = store.fact(_ENROLMENT)
        self._checkpoints = Checkpoints(self._identity, store, self._folder, self._high_water)
        self._past = Past(
            self._identity, self._ledger.id, self._checkpoints, self._intervals.settle_s
        )
        self._acks = Acks(self._identity, store, self._checkpoints)
        self._anchors = Anchors(self._identity, self._ledger, store, self._intervals.anchor_s)
        self._acks.milestone = self._anchors.ref
        self._intake = Intake(store, self._identity.id)
        self._outbox = Outbox(self._broker, store, self._acks, self._topics)
        store.set_fact("ledger", str(self._ledger.verifier))
        store.set_fact("origin", self._identity.origin)
        tree = self._tree = self._open_tree()
        last = store.entries(max(0, tree.size - bounds.BATCH_MESSAGES), tree.size)
        self._past.compare_own(tree, last)
        self._read_enrolment(force=True)

    def run(self) -> None:
        """The loop; ends after `stop`."""
        while not self._stopping.is_set():
            self._receive()
            try:
                self._step()
                self._trouble = ""
            except Exception as error:
                # no disk, or a mistake of ours: what is not committed stays with the broker, and
                # everybody can see it
                self._trouble = f"{type(error).__name__}: {error}"
                if isinstance(error, _TROUBLE):
                    log.error("cannot write", reason=self._trouble, hint="check disk and rights")
                else:
                    log.exception("the writer stumbled")
                # the tree in memory may be half-way: it is read again from disk
                self._tree = None
                self._leaves.clear()
                self._stopping.wait(bounds.RETRY_S)
        self._farewell()

    def _receive(self) -> None:
        """Wait for the next event, then take all that is there, up to one batch."""
        if self._held or self._stopping.is_set():
            return
        try:
            event = self._broker.inbox.get(timeout=self._wait())
            while True:
                self._take(event)
                if len(self._held) >= bounds.BATCH_MESSAGES:
                    return
                event = self._broker.inbox.get_nowait()
        except queue.Empty:
            return

    def _wait(self) -> float:
        waits = [_TICK_S]
        clock = time.monotonic()
        owed = self._acks.wait(clock)
        if self._broker.is_connected:
            if owed is not None:
                waits.append(owed)
            if self._checkpoints.settled:
                waits.append(self._anchors.wait(self._checkpoints, clock))
            elif (settling := self._past.wait(clock)) is not None:
                waits.append(settling)
        signing = self._checkpoints.settled and self._checkpoints.frozen is None
        if signing and self._tree is not None and self._tree.size > self._checkpoints.size:
            waits.append(max(0.0, self._next_checkpoint - clock))
        return max(_SHORTEST_WAIT_S, min(waits))

    def _take(self, event: Inbound | Connected | Subscribed) -> None:
        if isinstance(event, Inbound):
            self._held.append(event)
        elif isinstance(event, Connected):
            self._greet()
        else:
            self._past.subscribed(time.monotonic())

    def _step(self) -> None:
        now = int(time.time())
        self._watch_clock(now)
        tree = self._tree
        if tree is None:
            tree = self._tree = self._open_tree()
        self._read_enrolment()
        batch = self._commit(now)
        for device, nonce in batch.nonces:
            self._acks.echoed(device, nonce, now)
        for device in batch.touched:
            self._acks.owe(device)
        # only now may they be seen in a checkpoint: they are committed
        tree.append(self._leaves)
        self._leaves = []
        self._past.compare_records(tree)
        self._sign(tree, now)
        if self._broker.is_connected:
            self._tell(batch, now)

    def _watch_clock(self, now: int) -> None:
        """Nothing is judged by the clock, but acknowledgements tell it to boards."""
        offset = now - time.monotonic()
        if self._clock_offset is not None and abs(offset - self._clock_offset) > _CLOCK_JUMP_S:
            log.warning("the clock jumped", seconds=round(offset - self._clock_offset))
        self._clock_offset = offset

    def _commit(self, now: int) -> Batch:
        """The held messages: records in one transaction, the ledger's one by one; then their
        PUBACKs.
        """
        held = self._held
        up = [m for m in held if m.topic.endswith(_UP) or not self._heard(m)]
        batch = Batch()
        if up:
            messages = [Message(m.topic, m.payload, m.length, now) for m in up]
            batch = self._intake.commit(self._intake.examine(messages), now)
        self._leaves += batch.leaves
        self._past.records_show(batch.shown)
        self._broker.acknowledge(held)
        self._held = []
        return batch

    def _heard(self, message: Inbound) -> bool:
        """Deal with what is no record; False for records."""
        try:
            return self._hear(message)
        except _TROUBLE:
            raise
        except Exception:
            # stops one message that our own code stumbles over from coming again and again
            log.exception("a message could not be dealt with", topic=message.topic)
            return True

    def _hear(self, message: Inbound) -> bool:
        topic, payload = message.topic, message.payload
        if topic == self._ledger_topics.tips:
            self._anchors.tips(payload)
        elif topic == self._ledger_topics.milestone:
            if self._anchors.newest(payload, time.monotonic()):
                self._acks.milestone = self._anchors.ref
        elif topic.startswith(self._ledger_topics.receipts.removesuffix("+")):
            self._anchors.receipt(payload, time.monotonic())
            self._acks.milestone = self._anchors.ref
        elif not self._past.hear(message, self._tree):
            enrolled, now = self._enrolment.current.devices, int(time.time())
            return self.presence.hear(topic, payload, enrolled, retained=message.retained, now=now)
        return True

    # ---- the tree and its checkpoints

    def _open_tree(self) -> Log:
        store = self._store
        size = store.size()
        newest = self._checkpoints.newest
        signed = None if newest is None else (newest.size, newest.root)
        tree = Log.open(self._folder.log, store.entries, size, signed=signed)
        if self._checkpoints.frozen is not None or newest is None or newest.size > size:
            return tree
        if tree.root_at(newest.size) != newest.root:
            log.warning("tiles do not fit the last checkpoint: writing them again")
            tree = Log.open(self._folder.log, store.entries, size, rebuild=True)
        return tree

    def _sign(self, tree: Log, now: int) -> None:
        clock = time.monotonic()
        waiting = not self._broker.inbox.empty()
        if self._past.settle(clock, waiting=waiting) and self._checkpoints.frozen is None:
            self._publish_checkpoint()
        if clock < self._next_checkpoint:
            return
        if self._checkpoints.sign(tree, now) is not None:
            self._next_checkpoint = clock + self._intervals.checkpoint_s
            self._publish_checkpoint()

    def _publish_checkpoint(self) -> None:
        newest = self._checkpoints.newest
        if newest is not None:
            self._broker.publish(self._topics.checkpoint, newest.note, retain=True)

    # ---- what is said

    def _greet(self) -> None:
        """A new connection: the broker may have lost everything that it retained."""
        self._outbox.connected()
        if self._checkpoints.settled and self._checkpoints.frozen is None:
            self._publish_checkpoint()
        self._outbox.grant(self._enrolment.current.grant, self._identity)
        self._anchors.connected()
        for device in self._enrolment.current.devices:
            self._acks.owe(device)

    def _tell(self, batch: Batch, now: int) -> None:
        clock = time.monotonic()
        self._outbox.refused(batch.refusals, clock)
        self._outbox.admitted(batch.admitted)
        devices = self._enrolment.current.devices
        for device in self._acks.due(clock):
            if device in devices:
                self._outbox.device(self._intake.chain(devices[device]), now)
        if self._checkpoints.settled:
            for raw in self._anchors.due(self._checkpoints, clock, now):
                self._broker.publish(self._ledger_topics.submit, raw)
        self._outbox.state(self.status(), clock)

    def _read_enrolment(self, *, force: bool = False) -> None:
        clock = time.monotonic()
        force = force or self._reload.is_set()
        if clock < self._next_reload and not force:
            return
        self._reload.clear()
        self._next_reload = clock + _TICK_S
        before = self._enrolment.current
        try:
            if not self._enrolment.reload(force=force):
                return
        except EnrolmentError as error:
            log.error("the enrolment stays as it was", reason=str(error))
            return
        fresh = self._enrolment.current
        for reason in fresh.refused:
            log.error("enrolment entry refused", reason=reason)
        self._intake.devices = fresh.devices
        for device in fresh.devices.keys() - before.devices.keys():
            self._acks.owe(device)
        if fresh.grant != before.grant:
            self._outbox.grant(fresh.grant, self._identity)
        log.info("enrolment read", devices=len(fresh.devices))
        if self._enrolment.good != self._store.fact(_ENROLMENT):
            self._store.set_fact(_ENROLMENT, self._enrolment.good)

    def _farewell(self) -> None:
        self._broker.publish(
            self._topics.state, json.dumps({"state": "stopped"}).encode(), retain=True
        )
        self._intake.close()
        self._store.close()
