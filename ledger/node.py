"""The rules of the ledger that signs (docs/format.md, section 8).

1. A block is checked, committed, then answered. What was answered `attached` is never lost.
2. A block that is here already is answered with its newest receipt, whoever sends it.
3. A milestone names the one before as its first parent, then up to three tips, the oldest first; as
   many milestones are made at once as it takes to leave no tip behind. So whatever was attached is
   promoted until it is confirmed, whoever builds on it, and also if nobody does.
4. A milestone's time is never below that of the one before, whatever the clock does.
5. A milestone is committed, with what it confirms, before anyone sees it; and only on the head that
   it continues.
6. A milestone of this ledger that is not in the database, shown by anyone, is the end of signing:
   somebody restored an old copy of the folder, or runs two. So is a witness who has cosigned more.
7. Tips are offered by lot, from those that rest on young blocks (IOTA TIP-3); a round is an interval.

One thread uses a node.
"""

from __future__ import annotations

import random
import time as clocks
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Final

from tallystick import checkpoint, limits, milestone
from tallystick.block import Block, block_id
from tallystick.cose import Signer
from tallystick.errors import TallystickError
from tallystick.milestone import Milestone
from tallystick.receipt import Receipt, State
from tallystick_ledger.admission import admit
from tallystick_ledger.dag import Score
from tallystick_ledger.errors import ForkError, RejectedError
from tallystick_ledger.gateways import Gateways
from tallystick_ledger.limits import MILESTONES_A_TICK, PENDING_BLOCKS, PRESSURE_BLOCKS
from tallystick_ledger.state import Ledger
from tallystick_ledger.store import Store
from tallystick_ledger.writers import Writers

__all__ = ["Answer", "Node"]

_LOT: Final = random.SystemRandom()


@dataclass(frozen=True)
class Answer:
    """What became of submitted bytes; `attached` is the block if it is new."""

    receipt: Receipt
    attached: Block | None = None


class Node(Ledger):
    """A ledger that signs with `key`; `clock` gives Unix seconds, `steady` seconds that never go back."""

    def __init__(
        self,
        store: Store,
        key: Signer,
        clock: Callable[[], int],
        writers: Callable[[Gateways], Writers] = Writers,
        steady: Callable[[], float] = clocks.monotonic,
    ) -> None:
        super().__init__(store)
        self._key = key
        self._clock = clock
        self._steady = steady
        self.gateways = Gateways()
        self._writers = writers(self.gateways)

    # ---- blocks

    def submit(self, submitted: Sequence[bytes]) -> list[Answer]:
        """Check and keep blocks, in one transaction; an answer for each in order (rules 1, 2)."""
        named = [(block_id(raw), raw) for raw in submitted]
        with self.store.transaction():
            known = self.store.known([name for name, _ in named])
            return [self._submit(name, raw, known) for name, raw in named]

    def _submit(self, name: bytes, raw: bytes, known: Container[bytes]) -> Answer:
        if name in self.pending or name in known:
            return Answer(self.receipt(name))
        try:
            if len(self.pending) >= PENDING_BLOCKS:
                raise RejectedError("ledger.full", "too many blocks wait for a milestone")
            admitted = admit(raw, self.id, self, self.gateways, self._writers, self._steady())
        except TallystickError as error:
            return Answer(Receipt(State.REJECTED, name, error.code))
        self.attach(admitted.block, admitted.subject, admitted.roots, verified=admitted.verified)
        lazy = admitted.roots.score(self.round) is not Score.NON_LAZY
        return Answer(Receipt(State.ATTACHED, name, "block.lazy" if lazy else ""), admitted.block)

    def tips(self) -> list[bytes]:
        """Blocks to build on, drawn by lot (rule 7)."""
        tips = self.pending.best_tips(self.round) or [self.previous]
        return _LOT.sample(tips, min(limits.TIPS, len(tips)))

    # ---- milestones

    def tick(self, *, new_round: bool = True) -> list[Milestone]:
        """At least one milestone, and more until no tip is left but the last of them (rule 3). `new_round`: what
        is built on grows older by it.
        """
        return self._seal_all(self.round + new_round)

    def relieve(self) -> list[Milestone]:
        """Milestones before their time, when very many blocks wait; none otherwise."""
        return self._seal_all(self.round) if len(self.pending) >= PRESSURE_BLOCKS else []

    def _seal_all(self, round_: int) -> list[Milestone]:
        # rule 5: nothing signed leaves this function before it is on the disk, all of it at once
        with self.store.transaction():
            made = [self._seal(round_)]
            while len(self.pending) > 1 and len(made) < MILESTONES_A_TICK:
                made.append(self._seal(round_))
            last = made[-1]
            origin = checkpoint.ledger_name(self.id)
            note = checkpoint.sign(self._key, origin, last.size, last.root)
            self.store.sign_off(last.index, note)
        return made

    def _seal(self, round_: int) -> Milestone:
        tips = self.pending.oldest_tips(limits.PARENTS - 1, but=self.previous)
        parents = [self.previous, *tips]
        step = self.step(parents)
        frontier = step.frontier
        # rule 4
        time = max(self._clock(), self.time)
        sealed = milestone.made(
            self._key,
            self.id,
            self.head.index + 1,
            parents,
            time,
            self.head.size,
            frontier.size,
            frontier.root,
        )
        self.confirm(sealed, step, round_)
        return sealed

    def behind_s(self) -> int:
        """Seconds that the clock lies behind the newest milestone; 0 in good order."""
        return max(0, self.time - self._clock())

    # ---- what others show

    def shown(self, raw: bytes) -> None:
        """Look at a milestone that somebody published (rule 6); `ForkError` if it proves another history."""
        try:
            other = milestone.parse(raw)
            other.verify(self._key.public)
        except TallystickError:
            return  # anyone can publish bytes; without our signature they say nothing
        if other.ledger != self.id or self.has(other.id):
            return
        raise ForkError(
            f"milestone {other.index} of this ledger was published and is not in this folder,"
            f" which ends at {self.head.index}",
            hint="restore the newest copy of the folder; an older one must never sign again",
        )
