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
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tallystick import block, checkpoint, merkle, milestone
from tallystick.block import Block, BlockKind
from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick_ledger import dag, tree
from tallystick_ledger.admission import Subject, subject_of
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.store import Reader

__all__ = ["Report", "check"]


@dataclass
class Report:
    """What was found: counts, and a line for each damage."""

    blocks: int = 0
    confirmed: int = 0
    milestones: int = 0
    damage: list[str] = field(default_factory=list)


def check(database: Path) -> Report:
    """Check the whole ledger; `LedgerError` if the file cannot even be opened as one."""
    try:
        with Reader.open(database) as reader:
            found = _Check(reader)
            for line in found.run():
                found.report.damage.append(line)
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read '{database}': {error}", hint="restore a backup") from error
    except TallystickError as error:
        raise LedgerError(f"'{database}': {error.detail}", hint="restore a backup") from error
    return found.report


class _Check:
    def __init__(self, reader: Reader) -> None:
        self.report = Report()
        self._reader = reader
        self._db = reader.connection
        self._parents: dict[bytes, tuple[bytes, ...]] = {}
        self._positions: dict[bytes, tuple[int | None, int | None]] = {}
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
        query = (
            "SELECT arrival, id, kind, subject, digest, position, milestone, raw"
            " FROM blocks ORDER BY arrival"
        )
        for arrival, name, kind, subject, digest, position, number, raw in self._db.execute(query):
            self.report.blocks += 1
            where = f"block {name.hex()} (arrival {arrival})"
            if block.block_id(raw) != name:
                yield f"{where}: the id is not that of its bytes"
                continue
            try:
                parsed = block.parse(raw)
                about = self._subject(parsed)
            except TallystickError as error:
                yield f"{where}: {error}"
                continue
            if parsed.kind.value != kind or (about.id, about.digest or None) != (subject, digest):
                yield f"{where}: kind or subject is not what the block says"
            if parsed.kind is BlockKind.GENESIS:
                yield from self._start(parsed, where)
            for parent in parsed.parents:
                if parent not in self._parents:
                    yield f"{where}: its parent {parent.hex()} did not arrive before it"
            self._parents[name] = parsed.parents
            self._positions[name] = (position, number)
        if self._genesis is None:
            yield "genesis is missing"

    def _subject(self, parsed: Block) -> Subject:
        if parsed.kind in (BlockKind.ANCHOR, BlockKind.STATEMENT):
            return subject_of(parsed, self._reader.ledger)
        return Subject(None, b"")

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
        key = VerifierKey(checkpoint.ledger_name(self._reader.ledger), self._reader.key)
        unconfirmed = dict(self._parents)
        nodes: dict[tuple[int, int], bytes] = {}
        previous, last_time, size = self._genesis.id, self._genesis.time, 0
        root = merkle.EMPTY_ROOT
        query = (
            "SELECT number, block, size, root, time, checkpoint, raw"
            " FROM milestones LEFT JOIN blocks ON block = id ORDER BY number"
        )
        for row in self._db.execute(query):
            number, name, row_size, row_root, row_time, note, raw = row
            self.report.milestones += 1
            where = f"milestone {number}"
            try:
                one = milestone.parse(raw or b"")
                one.verify(self._reader.key)
            except TallystickError as error:
                yield f"{where}: {error}"
                return
            if (one.index, one.id, one.previous) != (self.report.milestones, name, previous):
                yield f"{where}: does not continue the one before it"
            if one.ledger != self._reader.ledger:
                yield f"{where}: of another ledger"
            if one.time < last_time:
                yield f"{where}: its time is below that of the one before it"
            confirmed = dag.order(one.block.parents, unconfirmed)
            for position, block_id in enumerate(confirmed, size):
                del unconfirmed[block_id]
                if self._positions.get(block_id) != (position, number):
                    yield f"block {block_id.hex()}: its place is {position}, by {where}"
            nodes.update(tree.grow(lambda *at: nodes[at], size, confirmed))
            size += len(confirmed)
            root = tree.root(lambda *at: nodes[at], size)
            if (one.size, one.root) != (size, root):
                yield f"{where}: size or root is not that of the blocks"
            if (row_size, row_root, row_time) != (one.size, one.root, one.time):
                yield f"{where}: the database says other than the milestone"
            yield from _note(note, key, one, where)
            previous, last_time = one.id, one.time
        self.report.confirmed = size
        yield from self._end(unconfirmed, nodes, size, root)

    def _end(
        self,
        unconfirmed: dict[bytes, tuple[bytes, ...]],
        nodes: dict[tuple[int, int], bytes],
        size: int,
        root: bytes,
    ) -> Iterator[str]:
        for name in unconfirmed:
            if self._positions[name] != (None, None):
                yield f"block {name.hex()}: has a position that no milestone gives it"
        kept = {
            (level, place): value
            for level, place, value in self._db.execute("SELECT level, place, hash FROM nodes")
        }
        for level, place in sorted(set(kept.items()) ^ set(nodes.items())):
            yield f"tree node {level}: {place!r} is not what the blocks give"
        head = self._reader.head()
        if (head.index, head.size, head.root) != (self.report.milestones, size, root):
            yield "head: is not the newest milestone"


def _note(raw: bytes, key: VerifierKey, one: milestone.Milestone, where: str) -> Iterator[str]:
    try:
        note = checkpoint.parse(raw)
        note.verify(key)
    except TallystickError as error:
        yield f"{where}: its checkpoint: {error}"
        return
    if (note.size, note.root) != (one.size, one.root):
        yield f"{where}: its checkpoint has another size or root"
