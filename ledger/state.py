"""The DAG as a node holds it: the unconfirmed blocks, the head and the tree's right edge in memory, all else
in the database.

A node that signs and one that follows share it. What is in memory is no more than what the database gives
again. One thread uses it; an error of the database leaves memory and disk apart, and the state is of no use
afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.block import Block, BlockKind
from tallystick.block import parse as parse_block
from tallystick.milestone import Milestone
from tallystick.receipt import Receipt, State
from tallystick_ledger import dag
from tallystick_ledger.admission import Subject, subject_of
from tallystick_ledger.dag import Roots, Waiting
from tallystick_ledger.limits import RECENT_BLOCKS
from tallystick_ledger.store import Store
from tallystick_ledger.tree import Frontier

__all__ = ["Ledger", "Step", "about"]


@dataclass(frozen=True)
class Step:
    """What a milestone with certain parents confirms, and the tree after it."""

    confirmed: Sequence[bytes]
    nodes: Sequence[tuple[int, int, bytes]]
    frontier: Frontier


class Ledger:
    """Blocks are attached, and confirmed by milestones; both inside a transaction of the store."""

    max_depth = dag.MAX_DEPTH  # rounds

    def __init__(self, store: Store) -> None:
        self.store = store
        self.id = store.ledger
        self.head = store.head()
        self.round = store.round()
        self.newest: Milestone | None = store.milestone(self.head.index)
        self.frontier = Frontier(self.head.size, store.node)
        self.pending = dag.Pending()
        self.announced = store.announced()
        self.changes = 0  # grows with whatever may have changed the tips
        self._arrivals = store.last_arrival()
        self._recent: dict[bytes, int] = {}  # confirmed blocks and their rounds, the oldest first
        first: Block | None = None
        for arrival, raw, verified in store.pending():
            parsed = parse_block(raw)
            first = first or parsed
            self._wait(parsed, about(parsed, self.id), arrival, verified=bool(verified))
        start = self.newest.block if self.newest is not None else first
        if start is None:
            raise AssertionError("a ledger has a genesis block or a milestone")
        self.previous, self.time = start.id, start.time

    def roots(self, block_id: bytes) -> Roots | None:
        """The roots of a block that is here; a confirmed block is its own."""
        waiting = self.pending.get(block_id)
        if waiting is not None:
            return waiting.roots
        confirmed = self._recent.get(block_id)
        if confirmed is None:
            confirmed = self.store.round_of(block_id)
        return None if confirmed is None else Roots(confirmed, confirmed)

    def said(self, digest: bytes) -> bool:
        """Is a statement with this digest here?"""
        return self.store.said(digest)

    def has(self, block_id: bytes) -> bool:
        """Is the block here?"""
        return block_id in self.pending or self.store.has(block_id)

    def receipt(self, block_id: bytes) -> Receipt:
        """The newest receipt of a block that is here; `block.pruned` if its proof cannot be given again."""
        if block_id in self.pending:
            return Receipt(State.ATTACHED, block_id)
        confirmed = self.store.confirmed(block_id)
        if confirmed is None:
            return Receipt(State.REJECTED, block_id, "block.pruned")
        return Receipt(State.CONFIRMED, block_id, "", confirmed)

    def attach(
        self,
        parsed: Block,
        subject: Subject,
        roots: Roots | None = None,
        *,
        verified: bool = False,
    ) -> None:
        """Keep a block whose parents are all here; `roots` if they are known already."""
        self._arrivals += 1
        self.store.attach(self._arrivals, parsed, subject, verified=verified)
        self._wait(parsed, subject, self._arrivals, roots, verified=verified)

    def step(self, parents: Sequence[bytes]) -> Step:
        """What a milestone with these parents would confirm."""
        confirmed = dag.order(parents, self.pending.parents)
        frontier = self.frontier.copy()
        nodes = frontier.grow(confirmed)
        return Step(confirmed, nodes, frontier)

    def confirm(self, sealed: Milestone, step: Step, round_: int) -> None:
        """Make `sealed`, whose size and root are those of `step`, the head."""
        self._arrivals += 1
        arrival = self._arrivals
        confirmed = self.pending.confirm(step.confirmed)
        oldest = self.pending.first_arrival or arrival
        self.head = self.store.append(
            *(self.head, sealed, arrival, round_, confirmed, step.nodes),
            announced=self.announced,
            settled=oldest - 1,
        )
        self.frontier, self.round = step.frontier, round_
        for block_id in step.confirmed:
            self._recent[block_id] = round_
        while len(self._recent) > RECENT_BLOCKS:
            del self._recent[next(iter(self._recent))]
        self._wait(sealed.block, Subject(), arrival)
        self.newest, self.previous, self.time = sealed, sealed.id, sealed.time

    def _wait(
        self,
        parsed: Block,
        subject: Subject,
        arrival: int,
        roots: Roots | None = None,
        *,
        verified: bool = False,
    ) -> None:
        if roots is None:
            found = [one for parent in parsed.parents if (one := self.roots(parent)) is not None]
            roots = Roots(
                max((one.youngest for one in found), default=self.round),
                min((one.oldest for one in found), default=self.round),
            )
        gateway = subject.id if parsed.kind is BlockKind.ANCHOR else None
        size = subject.note.size if subject.note is not None else 0
        self.pending.attach(
            parsed.id, Waiting(arrival, parsed.parents, roots, gateway, size, verified)
        )
        self.changes += 1


def about(parsed: Block, ledger: bytes) -> Subject:
    """Whom a block that is in form is about: nobody, if it is the ledger's own."""
    outsider = parsed.kind in (BlockKind.ANCHOR, BlockKind.STATEMENT)
    return subject_of(parsed, ledger) if outsider else Subject()
