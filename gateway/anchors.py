"""Anchors: checkpoints posted to the ledger as blocks, and the ledger's answers (docs/format.md,
section 8).

1. A block is kept before it is submitted, and submitted again until the ledger has confirmed or
   rejected it: submitting twice is harmless, forgetting is not.
2. Nothing that comes from the broker is believed unsigned: tips are parsed strictly and only make a
   block that the ledger may reject; a confirmation counts with its inclusion path and a milestone
   that the configured ledger key signed.
3. A rejected block (its parents were not known) is built anew from fresher tips, for the newest
   checkpoint.
"""

from __future__ import annotations

import secrets

import structlog

from tallystick import block, cbor, limits, milestone, receipt
from tallystick.block import BlockKind
from tallystick.body import MilestoneRef
from tallystick.checkpoint import LEDGER_PREFIX
from tallystick.errors import FormatError, TallystickError
from tallystick.fields import octets
from tallystick.milestone import Confirmed, Milestone
from tallystick.note import VerifierKey
from tallystick.receipt import State
from tallystick_gateway import bounds
from tallystick_gateway.checkpoints import Checkpoints
from tallystick_gateway.folder import Identity
from tallystick_gateway.rows import Anchor
from tallystick_gateway.store import Store

__all__ = ["Anchors", "LedgerKey", "parse_tips"]

log = structlog.get_logger()


class LedgerKey:
    """The ledger that this gateway anchors to: its id and the key that signs its milestones."""

    def __init__(self, verifier: VerifierKey) -> None:
        name = verifier.name.removeprefix(LEDGER_PREFIX)
        try:
            self.id = octets(bytes.fromhex(name), "ledger id", 8)
        except (ValueError, FormatError):
            raise FormatError(
                "ledger.vkey",
                f"{verifier.name!r} does not name a ledger",
                hint="give the line that tally-ledger identity prints",
            ) from None
        self.verifier = verifier

    def milestone(self, raw: bytes) -> Milestone:
        """`raw` as a milestone that this ledger signed; `TallystickError` otherwise."""
        return self._verified(milestone.parse(raw))

    def confirmed(self, confirmed: Confirmed) -> Confirmed:
        """The same, if this ledger's milestone confirms it; `TallystickError` otherwise."""
        self._verified(confirmed.milestone)
        confirmed.verify_inclusion()
        return confirmed

    def _verified(self, parsed: Milestone) -> Milestone:
        if parsed.ledger != self.id:
            raise FormatError("milestone.ledger", f"a milestone of ledger {parsed.ledger.hex()}")
        parsed.verify(self.verifier.key)
        return parsed


def parse_tips(raw: bytes) -> list[bytes]:
    """CBOR [*64 hash], all different; `FormatError` or `LimitError` otherwise."""
    value = cbor.decode(raw, limit=bounds.TIPS_BYTES)
    if not isinstance(value, list) or len(value) > limits.TIPS:
        raise FormatError("tips.shape", "tips are an array of at most 64 hashes")
    tips = [octets(item, "tip", 32) for item in value]
    if len(set(tips)) != len(tips):
        raise FormatError("tips.shape", "a tip stands twice")
    return tips


class Anchors:
    """The anchors of one gateway. `clock` arguments are of a monotonic clock in seconds, `now` is
    Unix seconds.
    """

    def __init__(
        self, identity: Identity, ledger: LedgerKey, store: Store, interval_s: float
    ) -> None:
        self._identity = identity
        self._ledger = ledger
        self._store = store
        self._interval_s = interval_s
        self._tips: list[bytes] = []
        self._next_build = 0.0
        self._next_submit: dict[bytes, float] = {}
        self._waits: dict[bytes, float] = {}  # from one submission to the next, seconds
        self._pending = {a.id: a for a in store.anchors("pending", "attached")}
        own = [a.size for a in self._pending.values() if a.origin == identity.origin]
        self._anchored = max([store.anchored_size(identity.origin), *own])
        newest = store.newest_milestone(ledger.id)
        self.milestone: Milestone | None = None if newest is None else milestone.parse(newest)

    @property
    def pending(self) -> int:
        """Blocks that are neither confirmed nor rejected."""
        return len(self._pending)

    def awaits(self, block_id: bytes) -> bool:
        """Is this one of our pending blocks?"""
        return block_id in self._pending

    @property
    def ref(self) -> MilestoneRef | None:
        """The newest verified milestone, as acknowledgements name it."""
        newest = self.milestone
        return None if newest is None else MilestoneRef(newest.ledger, newest.id)

    def connected(self) -> None:
        """The broker may have lost what we submitted: all of it is due again."""
        self._next_submit.clear()
        self._waits.clear()

    def due(self, checkpoints: Checkpoints, clock: float, now: int) -> list[bytes]:
        """The blocks to submit now. A new one is kept in the database before it is returned."""
        self._build(checkpoints, clock, now)
        ready = [a for a in self._pending.values() if clock >= self._next_submit.get(a.id, 0.0)]
        for anchor in ready:
            # ever more rarely: what is sent to a ledger that is away for days waits at the broker
            wait = min(
                2 * self._waits.get(anchor.id, bounds.RESUBMIT_S / 2), bounds.RESUBMIT_MOST_S
            )
            self._waits[anchor.id], self._next_submit[anchor.id] = wait, clock + wait
        return [anchor.block for anchor in ready]

    def wait(self, checkpoints: Checkpoints, clock: float) -> float:
        """Seconds until `due` has something to do."""
        times = [self._next_submit.get(block_id, 0.0) for block_id in self._pending]
        if self._wanted(checkpoints):
            times.append(self._next_build)
        return max(0.0, min(times, default=clock + bounds.RESUBMIT_S) - clock)

    def _wanted(self, checkpoints: Checkpoints) -> bool:
        newest = checkpoints.newest
        return (
            newest is not None
            and newest.size > self._anchored
            and bool(self._tips)
            and checkpoints.frozen is None
            and len(self._pending) < bounds.PENDING_ANCHORS
        )

    def _build(self, checkpoints: Checkpoints, clock: float, now: int) -> None:
        newest = checkpoints.newest
        if newest is None or clock < self._next_build or not self._wanted(checkpoints):
            return
        count = min(len(self._tips), limits.PARENTS)
        parents = secrets.SystemRandom().sample(self._tips, count)
        raw = block.sign(self._identity.key, parents, now, BlockKind.ANCHOR, newest.note)
        anchor = Anchor(
            block.block_id(raw), self._identity.origin, newest.size, raw, "pending", "", now, None
        )
        self._store.add_anchor(anchor)
        self._pending[anchor.id] = anchor
        self._anchored = anchor.size
        self._next_build = clock + self._interval_s

    # ---- what the ledger says

    def tips(self, raw: bytes) -> None:
        """The ledger's retained list."""
        try:
            self._tips = parse_tips(raw)
        except TallystickError as error:
            log.warning("tips refused", reason=str(error))

    def newest(self, raw: bytes, clock: float) -> bool:
        """The ledger's retained milestone; True if it is newer than the one we knew."""
        try:
            fresh = self._keep(self._ledger.milestone(raw))
        except TallystickError as error:
            log.warning("milestone refused", reason=str(error))
            return False
        if fresh:
            self._back(clock)
        return fresh

    def receipt(self, raw: bytes, clock: float) -> None:
        """An answer to one of our blocks; everything else is left alone."""
        try:
            answer = receipt.parse(raw)
            anchor = self._pending.get(answer.block)
            if anchor is None:
                return
            confirmed = None
            if answer.confirmed is not None:
                confirmed = self._ledger.confirmed(answer.confirmed)
        except TallystickError as error:
            log.warning("receipt refused", reason=str(error))
            return
        detail = answer.detail[: bounds.DETAIL_CHARACTERS]
        if confirmed is not None:
            self._keep(confirmed.milestone)
            self._store.answer_anchor(anchor.id, "confirmed", "", confirmed.encode())
            log.info("anchor confirmed", size=anchor.size, milestone=confirmed.milestone.index)
        elif answer.state is State.ATTACHED:
            self._store.answer_anchor(anchor.id, "attached", detail)
            return
        else:
            self._store.answer_anchor(anchor.id, "rejected", detail)
            log.warning("anchor rejected", size=anchor.size, reason=detail)
            # the receipt is not signed: wait a little, lest a false one makes us build without end
            self._next_build = clock + bounds.REBUILD_S
            self._anchored = min(self._anchored, self._store.anchored_size(self._identity.origin))
        del self._pending[anchor.id]
        self._next_submit.pop(anchor.id, None)
        self._waits.pop(anchor.id, None)

    def _back(self, clock: float) -> None:
        """The ledger lives: it need not wait long for what it may have missed."""
        for block_id, wait in self._waits.items():
            if wait > bounds.RESUBMIT_S:
                self._waits[block_id] = bounds.RESUBMIT_S / 2
                self._next_submit[block_id] = clock

    def _keep(self, fresh: Milestone) -> bool:
        self._store.add_milestone(fresh)
        if self.milestone is not None and fresh.index <= self.milestone.index:
            return False
        self.milestone = fresh
        return True
