"""What others show of our own log, compared before the next signature (docs/format.md, section 8).

1. Our own database and high-water file, at the start.
2. The last records of the log: what they showed may not have been compared when the process ended.
3. The broker's retained checkpoint and the ledger's newest anchor. The first signature waits for them: a known
   copy of both notes, or some seconds after the broker has answered our subscriptions.
4. Whatever comes later, on those topics or in an `open` or a beacon.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from tallystick import milestone, record, topics
from tallystick.body import Beacon, CheckpointRef, Open
from tallystick.errors import TallystickError
from tallystick_gateway.checkpoints import Checkpoints
from tallystick_gateway.folder import Identity
from tallystick_gateway.log import Log
from tallystick_gateway.mqtt import Inbound

__all__ = ["Past"]

log = structlog.get_logger()


class Past:
    """What was shown, and whether all that the broker holds of it has been. `clock` arguments are of a
    monotonic clock, in seconds.
    """

    def __init__(
        self, identity: Identity, ledger: bytes, checkpoints: Checkpoints, settle_s: float
    ) -> None:
        self._identity, self._checkpoints, self._settle_s = identity, checkpoints, settle_s
        self._note = topics.Gateway(identity.id).checkpoint
        self._anchor = topics.Ledger(ledger).anchor(identity.id)
        self._settle_at: float | None = None
        self._retained: set[str] = set()
        self._shown: list[tuple[str, CheckpointRef]] = []  # by records, not compared yet

    def subscribed(self, clock: float) -> None:
        """The broker has answered our subscriptions."""
        if self._settle_at is None:
            self._settle_at = clock + self._settle_s

    def hear(self, message: Inbound, tree: Log | None) -> bool:
        """Deal with a message that shows a checkpoint of ours; False for all others."""
        if message.topic == self._note:
            self._see("the broker's retained checkpoint", message, message.payload, tree)
        elif message.topic == self._anchor:
            try:
                note = milestone.parse_confirmed(message.payload).block.carried
            except TallystickError as error:
                log.warning("not an anchor", topic=message.topic, reason=str(error))
                return True
            self._see("the ledger's newest anchor", message, note, tree)
        else:
            return False
        return True

    def records_show(self, shown: Iterable[tuple[str, CheckpointRef]]) -> None:
        """Records that are being committed name checkpoints of ours."""
        self._shown += shown

    def compare_records(self, tree: Log) -> None:
        """Compare what they show, now that they are committed and in the tree."""
        for source, ref in self._shown:
            self._checkpoints.shown(source, ref.size, ref.root, tree)
        self._shown = []

    def compare_own(self, tree: Log, last: Iterable[bytes]) -> None:
        """Compare our own memory; `last` are the log's last records."""
        self._checkpoints.compare_own(tree)
        for raw in last:
            try:
                parsed = record.parse(raw)
            except TallystickError as error:
                # one device's trouble; if it was signed for, the tree has another root now
                log.error("a stored record is damaged", reason=str(error), hint="run fsck")
                continue
            ref = parsed.body.checkpoint if isinstance(parsed.body, Open | Beacon) else None
            if ref is not None and ref.gateway == self._identity.id:
                self._checkpoints.shown(f"record {parsed.seq}", ref.size, ref.root, tree)

    def settle(self, clock: float, *, waiting: bool) -> bool:
        """True once: when all that the broker holds has been seen. `waiting`: messages are."""
        if self._settle_at is None or self._checkpoints.settled or waiting:
            return False
        if clock < self._settle_at and not {self._note, self._anchor} <= self._retained:
            return False
        self._checkpoints.settled = True
        return True

    def wait(self, clock: float) -> float | None:
        """Seconds until `settle` is to be asked, None while nothing is known."""
        return None if self._settle_at is None else max(0.0, self._settle_at - clock)

    def _see(self, source: str, message: Inbound, note: bytes, tree: Log | None) -> None:
        if tree is not None:
            self._checkpoints.shown_note(source, note, tree)
        # what waited for us in the session may be older than what is retained
        if message.retained:
            self._retained.add(message.topic)
