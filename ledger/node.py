"""The rules of the ledger over its database (docs/format.md, section 8).

1. A block is checked, committed, then answered. What was answered `attached` is never lost.
2. A block that is here already is answered with its newest receipt, whoever sends it.
3. A milestone names the one before as its first parent, then up to three tips, the oldest first; as
   many milestones are made at once as it takes to leave no tip behind. So whatever was attached is
   confirmed, whoever builds on it.
4. A milestone's time is never below that of the one before, whatever the clock does.
5. A milestone is committed, with what it confirms, before anyone sees it; and only on the head that
   it continues.
6. A milestone of this ledger that is not in the database, shown by anyone, is the end of signing:
   somebody restored an old copy of the folder, or runs two.

One thread uses a node. An error of the database leaves memory and disk apart: the node is of no use
afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tallystick import checkpoint, limits, milestone
from tallystick.block import Block, block_id
from tallystick.block import parse as parse_block
from tallystick.cose import Signer
from tallystick.errors import TallystickError
from tallystick.milestone import Milestone
from tallystick.receipt import Receipt, State
from tallystick_ledger import dag, tree
from tallystick_ledger.admission import RejectedError, admit
from tallystick_ledger.errors import ForkError
from tallystick_ledger.gateways import Gateways
from tallystick_ledger.limits import MILESTONES_A_TICK, PENDING_BLOCKS, TIPS
from tallystick_ledger.store import Store

__all__ = ["Answer", "Node"]


@dataclass(frozen=True)
class Answer:
    """What became of submitted bytes; `attached` is the block if it is new."""

    receipt: Receipt
    attached: Block | None = None


class Node:
    """A ledger that signs with `key`; `clock` gives Unix seconds."""

    def __init__(self, store: Store, key: Signer, clock: Callable[[], int]) -> None:
        self.store = store
        self.ledger = store.ledger
        self.announced = store.announced()
        self._key = key
        self._clock = clock
        self.gateways = Gateways()
        self.head = store.head()
        self.newest: Milestone | None = store.milestone(self.head.index)
        waiting = [parse_block(raw) for raw in store.pending()]
        self.pending = dag.Pending((one.id, one.parents) for one in waiting)
        self._previous = self.newest.id if self.newest else waiting[0].id
        self._time = self.newest.time if self.newest else waiting[0].time

    def submit(self, submitted: Sequence[bytes]) -> list[Answer]:
        """Check and keep blocks, in one transaction; an answer for each in order (rules 1, 2)."""
        with self.store.transaction():
            return [self._submit(raw) for raw in submitted]

    def _submit(self, raw: bytes) -> Answer:
        name = block_id(raw)
        if self.store.has(name):
            return Answer(self.receipt(name))
        try:
            if len(self.pending) >= PENDING_BLOCKS:
                raise RejectedError("ledger.full", "too many blocks wait for a milestone")
            attached, subject = admit(raw, self.ledger, self.store.has, self.gateways)
        except TallystickError as error:
            return Answer(Receipt(State.REJECTED, name, error.code))
        self.store.attach(attached, subject)
        self.pending.attach(attached.id, attached.parents)
        return Answer(Receipt(State.ATTACHED, name), attached)

    def receipt(self, name: bytes) -> Receipt:
        """The newest receipt of a block that is here."""
        confirmed = self.store.confirmed(name)
        if confirmed is None:
            return Receipt(State.ATTACHED, name)
        return Receipt(State.CONFIRMED, name, "", confirmed)

    def tips(self) -> list[bytes]:
        """Blocks to build on: the newest milestone if it is a tip, then the oldest, which need it most."""
        tips = self.pending.tips
        if self._previous in tips:
            tips.remove(self._previous)
            tips.insert(0, self._previous)
        return tips[:TIPS]

    def tick(self) -> list[Milestone]:
        """At least one milestone, and more until no tip is left but the last of them (rule 3)."""
        # rule 5: nothing signed leaves this function before it is on the disk, all of it at once
        with self.store.transaction():
            made = [self._seal()]
            while len(self.pending) > 1 and len(made) < MILESTONES_A_TICK:
                made.append(self._seal())
        return made

    def _seal(self) -> Milestone:
        tips = (tip for tip in self.pending.tips if tip != self._previous)
        parents = [self._previous, *tips][: limits.PARENTS]
        confirmed = dag.order(parents, self.pending.parents)
        size = self.head.size + len(confirmed)
        nodes = tree.grow(self.store.node, self.head.size, confirmed)

        def read(level: int, place: int) -> bytes:
            return nodes.get((level, place)) or self.store.node(level, place)

        root = tree.root(read, size)
        # rule 4
        time = max(self._clock(), self._time)
        raw = milestone.sign(
            self._key,
            self.ledger,
            self.head.index + 1,
            parents,
            time,
            self.head.size,
            size,
            root,
        )
        sealed = milestone.parse(raw)
        note = checkpoint.sign(self._key, checkpoint.ledger_name(self.ledger), size, root)
        self.store.append(self.head, sealed, note, confirmed, nodes, self.announced)
        self.pending.attach(sealed.id, sealed.block.parents)
        self.pending.confirm(confirmed)
        self.head = self.store.head()
        self.newest, self._previous, self._time = sealed, sealed.id, time
        return sealed

    def behind_s(self) -> int:
        """Seconds that the clock lies behind the newest milestone; 0 in good order."""
        return max(0, self._time - self._clock())

    def shown(self, raw: bytes) -> None:
        """Look at a milestone that somebody published (rule 6); `ForkError` if it proves another history."""
        try:
            other = milestone.parse(raw)
            other.verify(self._key.public)
        except TallystickError:
            return  # anyone can publish bytes; without our signature they say nothing
        if other.ledger != self.ledger or self.store.has(other.id):
            return
        raise ForkError(
            f"milestone {other.index} of this ledger was published and is not in this folder,"
            f" which ends at {self.head.index}",
            hint="restore the newest copy of the folder; an older one must never sign again",
        )
