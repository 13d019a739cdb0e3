"""Derive a ledger again from the bytes of its blocks, and name every difference (`tally-ledger fsck`).

1. SQLite's own check.
2. Every block: its id is the SHA-256 of its bytes, it is in form, its parents arrived before it, and
   what the database says of it is what it says itself. One genesis, the first, gives the ledger's id.
3. Every milestone, by index: signed by the ledger's key, for this ledger, on the one before, its time
   not below.
4. The order of confirmation, from the parents alone; every position and the milestone that gave it.
5. Every size and root, computed from the ids without the stored tree; the signed note of each; the
   stored tree itself.
6. The head is the newest milestone, and what no milestone reaches has no position.

Of a block that was pruned its id is left: it must lead to the roots that later milestones sign, at the
place that is kept. What 2 to 4 say of it can no longer be derived, and is passed over.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tallystick import block, checkpoint, milestone
from tallystick.block import Block, BlockKind
from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick_ledger import dag, tree
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.reader import Reader, prefix
from tallystick_ledger.state import about
from tallystick_ledger.tree import Frontier

__all__ = ["Report", "check"]


@dataclass
class Report:
    """What was found: counts, and a line for each damage."""

    blocks: int = 0
    confirmed: int = 0
    milestones: int = 0
    pruned: int = 0
    damage: list[str] = field(default_factory=list)


def check(database: Path, step: Callable[[int, int], None] = lambda _done, _of: None) -> Report:
    """Check the whole ledger; `LedgerError` if the file cannot even be opened as one. `step` is told (done, of)
    blocks.
    """
    try:
        with Reader.open(database) as reader:
            found = _Check(reader, step)
            for line in found.run():
                found.report.damage.append(line)
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read '{database}': {error}", hint="restore a backup") from error
    except TallystickError as error:
        raise LedgerError(f"'{database}': {error.detail}", hint="restore a backup") from error
    return found.report


class _Check:
    def __init__(self, reader: Reader, step: Callable[[int, int], None]) -> None:
        self.report = Report()
        self._reader = reader
        self._db = reader.connection
        self._step = step
        self._parents: dict[bytes, tuple[bytes, ...]] = {}
        self._positions: dict[bytes, int | None] = {}
        self._kept: list[bytes] = []  # ids by position, as the database has them
        self._gone: set[bytes] = set()
        self._genesis: Block | None = None

    def run(self) -> Iterator[str]:
        """A line for each damage."""
        # 1
        for (line,) in self._db.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield f"database: {line}"
        yield from self._blocks()
        yield from self._milestones()

    # ---- 2

    def _blocks(self) -> Iterator[str]:
        total = self._db.execute("SELECT count(*) FROM blocks").fetchone()[0]
        query = (
            "SELECT arrival, prefix, id, kind, subject, digest, raw, position"
            " FROM blocks LEFT JOIN places USING (arrival) ORDER BY arrival"
        )
        for arrival, start, name, kind, subject, digest, raw, position in self._db.execute(query):
            self.report.blocks += 1
            if self.report.blocks % 10_000 == 0:
                self._step(self.report.blocks, total)
            where = f"block {name.hex()} (arrival {arrival})"
            self._positions[name] = position
            if arrival != self.report.blocks:
                yield f"{where}: a block before it is missing"
                self.report.blocks = arrival
            if raw is None:
                self.report.pruned += 1
                self._gone.add(name)
                self._parents[name] = ()
                if position is None or position >= self._reader.pruned():
                    yield f"{where}: its bytes are missing, and it was not pruned"
                continue
            if block.block_id(raw) != name or prefix(name) != start:
                yield f"{where}: the id is not that of its bytes"
                continue
            try:
                parsed = block.parse(raw)
                subject_now = about(parsed, self._reader.ledger)
            except TallystickError as error:
                yield f"{where}: {error}"
                continue
            said = (parsed.kind.value, subject_now.id, subject_now.digest)
            if said != (kind, subject, digest):
                yield f"{where}: kind or subject is not what the block says"
            if parsed.kind is BlockKind.GENESIS:
                yield from self._start(parsed, where)
            for parent in parsed.parents:
                if parent not in self._parents:
                    yield f"{where}: its parent {parent.hex()} did not arrive before it"
            self._parents[name] = parsed.parents
        if self._genesis is None:
            yield "genesis is missing"
        query = "SELECT position, id FROM places JOIN blocks USING (arrival) ORDER BY position"
        for expected, (position, name) in enumerate(self._db.execute(query)):
            if expected != position:
                yield f"position {expected}: no block"
                return
            self._kept.append(name)

    def _start(self, genesis: Block, where: str) -> Iterator[str]:
        if self._genesis is not None or self._parents:
            yield f"{where}: a genesis that is not the first block"
            return
        self._genesis = genesis
        if block.ledger_id(genesis.raw) != self._reader.ledger:
            yield f"{where}: the ledger's id is not that of its genesis"
        try:
            genesis.signed.verify(self._reader.key)
        except TallystickError as error:
            yield f"{where}: {error}"

    # ---- 3 to 6

    def _milestones(self) -> Iterator[str]:
        if self._genesis is None:
            return
        unconfirmed = dict(self._parents)
        nodes: dict[int, bytes] = {}
        frontier = Frontier()
        previous: bytes | None = self._genesis.id
        last_time = self._genesis.time
        number = 0
        query = (
            "SELECT number, id, size, root, time, checkpoint, raw"
            " FROM milestones LEFT JOIN blocks USING (arrival) ORDER BY number"
        )
        for number, name, size, root, time, note, raw in self._db.execute(query):
            self.report.milestones += 1
            where = f"milestone {number}"
            one: milestone.Milestone | None = None
            if name is None or number != self.report.milestones:
                yield f"{where}: one before it, or its block, is missing"
                return
            if raw is not None:
                try:
                    one = milestone.parse(raw)
                    one.verify(self._reader.key)
                except TallystickError as error:
                    yield f"{where}: {error}"
                    return
                yield from self._said(one, previous, last_time, (size, root, time), where)
                last_time = one.time
            previous = name
            # 4
            kept = self._kept[frontier.size : size]
            if one is None or not self._gone.isdisjoint(kept):
                confirmed = kept
            else:
                confirmed = dag.order(one.block.parents, unconfirmed)
            for position, block_id in enumerate(confirmed, frontier.size):
                if unconfirmed.pop(block_id, None) is None:
                    yield f"block {block_id.hex()}: confirmed twice"
                if self._positions.get(block_id) != position:
                    yield f"block {block_id.hex()}: its place is {position}, by {where}"
            # 5
            for level, place, value in frontier.grow(confirmed):
                nodes[tree.number(level, place)] = value
            if (size, root) != (frontier.size, frontier.root):
                yield f"{where}: size or root is not that of the blocks"
                return
            yield from self._note(note, size, root, where)
        self.report.confirmed = frontier.size
        yield from self._end(unconfirmed, nodes, frontier)

    def _said(
        self,
        one: milestone.Milestone,
        previous: bytes | None,
        last_time: int,
        row: tuple[int, bytes, int],
        where: str,
    ) -> Iterator[str]:
        if (one.index, one.previous) != (self.report.milestones, previous):
            yield f"{where}: does not continue the one before it"
        if one.ledger != self._reader.ledger:
            yield f"{where}: of another ledger"
        if one.time < last_time:
            yield f"{where}: its time is below that of the one before it"
        if row != (one.size, one.root, one.time):
            yield f"{where}: the database says other than the milestone"

    def _end(
        self, unconfirmed: dict[bytes, tuple[bytes, ...]], nodes: dict[int, bytes], tip: Frontier
    ) -> Iterator[str]:
        for name in unconfirmed:
            if self._positions[name] is not None:
                yield f"block {name.hex()}: has a position that no milestone gives it"
        kept = dict(self._db.execute("SELECT number, hash FROM nodes"))
        for number in sorted(dict(set(kept.items()) ^ set(nodes.items()))):
            yield f"tree node {number}: is not what the blocks give"
        head = self._reader.head()
        if (head.index, head.size, head.root) != (self.report.milestones, tip.size, tip.root):
            yield "head: is not the newest milestone"
        arrivals = self._db.execute(
            "SELECT count(*) FROM blocks LEFT JOIN places USING (arrival)"
            " WHERE position IS NULL AND arrival <= (SELECT settled FROM ledger)"
        )
        if arrivals.fetchone()[0]:
            yield "head: an unconfirmed block would be forgotten at the next start"

    def _note(self, raw: bytes | None, size: int, root: bytes, where: str) -> Iterator[str]:
        if raw is None:
            return
        key = VerifierKey(checkpoint.ledger_name(self._reader.ledger), self._reader.key)
        try:
            note = checkpoint.parse(raw)
            note.verify(key)
        except TallystickError as error:
            yield f"{where}: its checkpoint: {error}"
            return
        if (note.size, note.root) != (size, root):
            yield f"{where}: its checkpoint has another size or root"
