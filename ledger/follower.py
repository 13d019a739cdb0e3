"""The rules of a node that follows (docs/format.md, section 8): it believes the signature of the ledger's key,
and checks all that follows from it. It signs nothing.

1. It starts from the ledger's verifier key alone, or from a snapshot, and takes whatever bytes anyone sends
   as possible blocks: only what a milestone reaches is kept.
2. A milestone is taken when it is the next one: signed by the ledger, on the one before, its time not below,
   and every block that it reaches is here and in form.
3. It walks the blocks itself. Size and root must be those that the milestone signs; otherwise the ledger
   contradicts itself.
4. Two milestones with one index, one that continues another history, a root that the blocks do not give, a
   checkpoint with another root than the milestone of that size: that is a **fork**. Both pieces of evidence
   are kept, the alarm is raised, and nothing later is taken any more. What was good before stays good.

One thread uses a follower.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick import block, checkpoint, milestone
from tallystick.block import Block, BlockKind
from tallystick.errors import TallystickError
from tallystick.milestone import Milestone
from tallystick.note import VerifierKey
from tallystick_ledger import dag
from tallystick_ledger.limits import BUFFERED_BLOCKS, BUFFERED_MILESTONES
from tallystick_ledger.state import Ledger, about
from tallystick_ledger.store import Store

__all__ = ["Follower"]


class Follower(Ledger):
    """A copy of a ledger that another node signs. `fork` is the code of a contradiction, "" in good order."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._buffer: dict[bytes, Block] = {}
        self._stones: dict[int, Milestone] = {}
        forks = store.forks()
        self.fork = forks[0][3] if forks else ""

    @property
    def behind(self) -> bool:
        """Is a milestone known that cannot be taken yet? Then blocks from position `head.size` on are wanted."""
        return bool(self._stones) and not self.fork

    def seen(self, raws: Sequence[bytes]) -> None:
        """Blocks, in any order, from anyone (rule 1); a milestone among them is looked at."""
        for raw in raws:
            try:
                parsed = block.parse(raw)
                about(parsed, self.id)
            except TallystickError:
                continue
            if parsed.kind is BlockKind.MILESTONE:
                self._look(parsed)
            elif parsed.kind is not BlockKind.GENESIS and not self.has(parsed.id):
                self._buffer[parsed.id] = parsed
        while len(self._buffer) > BUFFERED_BLOCKS:
            del self._buffer[next(iter(self._buffer))]

    def shown(self, raw: bytes) -> None:
        """The newest milestone, as somebody shows it."""
        self.seen([raw])

    def noted(self, raw: bytes) -> None:
        """A checkpoint that somebody shows: rule 4, and it is kept with its milestone if it is of one."""
        try:
            note = checkpoint.parse(raw)
            note.verify(VerifierKey(checkpoint.ledger_name(self.id), self.store.key))
        except TallystickError:
            return
        found = self.store.sized(note.size)
        if found is None or self.fork:
            return
        index, root = found
        if root != note.root:
            self._raise("checkpoint.fork", index, self.store.milestone_raw(index), note.raw)
        elif note.raw != self.store.checkpoint(index):
            with self.store.transaction():
                self.store.sign_off(index, note.raw, len(note.note.signatures) - 1)

    def advance(self) -> list[Milestone]:
        """Take the next milestones as far as their blocks are here (rules 2 and 3)."""
        taken: list[Milestone] = []
        while not self.fork and (one := self._stones.get(self.head.index + 1)) is not None:
            wanted = self._reached(one)
            if wanted is None or not self._take(one, wanted):
                break
            del self._stones[one.index]
            taken.append(one)
        self._stones = {i: one for i, one in self._stones.items() if i > self.head.index}
        return taken

    # ---- one milestone

    def _look(self, parsed: Block) -> None:
        try:
            one = milestone.from_block(parsed)
            one.verify(self.store.key)
        except TallystickError:
            return  # anyone can publish bytes; without the ledger's signature they say nothing
        # a milestone of this key's other ledger says nothing of this one
        if one.ledger != self.id or self.fork or self.has(one.id):
            return
        if one.index <= self.head.index:
            # rule 4: an index has one milestone
            self._raise(
                "milestone.fork", one.index, self.store.milestone_raw(one.index), one.block.raw
            )
            return
        other = self._stones.get(one.index)
        if other is not None and other.id != one.id:
            self._raise("milestone.fork", one.index, other.block.raw, one.block.raw)
        elif len(self._stones) < BUFFERED_MILESTONES:
            self._stones[one.index] = one

    def _reached(self, one: Milestone) -> list[Block] | None:
        """The blocks that `one` confirms, but for those that wait already; None if one of them is missing."""
        missing = False
        parents: dict[bytes, tuple[bytes, ...]] = {}
        todo = list(one.block.parents)
        while todo:
            name = todo.pop()
            if name in parents or self.has(name):
                continue
            found = self._buffer.get(name)
            if found is None:
                missing = True
                break
            parents[name] = found.parents
            todo += found.parents
        if missing:
            return None
        return [self._buffer[name] for name in dag.order(one.block.parents, parents)]

    def _take(self, one: Milestone, reached: Sequence[Block]) -> bool:
        newest = self.newest.block.raw if self.newest else b""
        if one.previous != self.previous:
            return self._raise("milestone.previous", one.index, newest, one.block.raw)
        if one.time < self.time or one.first != self.head.size:
            return self._raise("milestone.order", one.index, newest, one.block.raw)
        try:
            with self.store.transaction():
                for parsed in reached:
                    self.attach(parsed, about(parsed, self.id))
                step = self.step(one.block.parents)
                if (one.size, one.root) != (step.frontier.size, step.frontier.root):
                    raise _ContradictionError
                self.confirm(one, step, one.index)
        except _ContradictionError:
            # what was attached in memory is gone from the database again
            super().__init__(self.store)
            return self._raise("milestone.root", one.index, newest, one.block.raw)
        for parsed in reached:
            self._buffer.pop(parsed.id, None)
        return True

    def _raise(self, code: str, index: int, first: bytes | None, second: bytes) -> bool:
        with self.store.transaction():
            self.store.add_fork(index, first or b"", second, code)
        self.fork = code
        return False


class _ContradictionError(Exception):
    """The blocks do not give what the milestone signs."""
