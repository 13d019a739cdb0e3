"""The one writer of the ledger's database; `reader` is its read-only side.

* WAL with `synchronous=FULL`: what `commit` has returned from survives a power cut.
* The head moves by compare-and-set on (index, size, root): a second writer, or a database that is not
  what the writer believes, ends in `ForkError` before anything is published.
* Rows are appended, in the order in which they come: the one index with random keys is that of the ids,
  and it holds 8 bytes of each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tallystick import block, merkle
from tallystick.block import Block
from tallystick.keys import PublicKey
from tallystick.milestone import Milestone
from tallystick_ledger import database, tree
from tallystick_ledger.admission import Subject
from tallystick_ledger.dag import Waiting
from tallystick_ledger.errors import ForkError
from tallystick_ledger.reader import Head, Reader, prefix

__all__ = ["Store"]


@dataclass
class _Rows:
    """What a transaction will write at its end."""

    blocks: list[tuple[object, ...]] = field(default_factory=list)
    digests: set[bytes] = field(default_factory=set)
    milestones: list[tuple[object, ...]] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    nodes: list[tuple[int, bytes]] = field(default_factory=list)
    anchors: dict[bytes, tuple[int, int, bool]] = field(default_factory=dict)
    expected: Head | None = None
    head: Head | None = None
    announced: int = 0
    settled: int = 0


class Store(Reader):
    """The one writer. All writing happens inside `transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._rows = _Rows()

    @classmethod
    def create(cls, path: Path, key: PublicKey, genesis: bytes) -> None:
        """A new database that holds the genesis block; `path` must not exist."""
        connection = database.create(path)
        try:
            connection.execute(
                "INSERT INTO ledger VALUES (1, ?, ?, 0, 0, ?, 0, 0, 0)",
                (block.ledger_id(genesis), key.raw, merkle.EMPTY_ROOT),
            )
            store = cls(connection)
            with store.transaction():
                store.attach(1, block.parse(genesis), Subject(), verified=False)
        finally:
            connection.close()

    @classmethod
    @contextmanager
    def writing(cls, path: Path) -> Iterator[Self]:
        """The database for its one writer, for use by the thread that enters."""
        connection = database.connect(path, "rw")
        try:
            yield cls(connection)
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; what is inside is durable when the block has ended. Rows are written at its end, all of
        a table at once.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._flush()
            self._db.execute("COMMIT")
        except BaseException:
            self._rows = _Rows()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def attach(self, arrival: int, attached: Block, subject: Subject, *, verified: bool) -> None:
        """Keep a block, not yet confirmed, as the `arrival`-th that came."""
        name = attached.id
        self._rows.blocks.append(
            (
                *(arrival, prefix(name), name, attached.kind.value),
                *(subject.id, verified, subject.digest, attached.raw),
            )
        )
        if subject.digest is not None:
            self._rows.digests.add(subject.digest)

    def said(self, digest: bytes) -> bool:
        """Is a statement with this digest attached?"""
        return digest in self._rows.digests or super().said(digest)

    def append(
        self,
        expected: Head,
        milestone: Milestone,
        arrival: int,
        round_: int,
        confirmed: Sequence[Waiting],
        nodes: Iterable[tuple[int, int, bytes]],
        announced: int,
        settled: int,
    ) -> Head:
        """Make `milestone`, the `arrival`-th block, the head, which is returned; the end of the transaction is a
        `ForkError` if `expected` is not the head any more.
        """
        rows = self._rows
        rows.expected = rows.expected or expected
        rows.head = Head(milestone.index, milestone.size, milestone.root)
        rows.announced, rows.settled = announced, settled
        self.attach(arrival, milestone.block, Subject(), verified=False)
        rows.milestones.append(
            (
                *(milestone.index, arrival, round_),
                *(milestone.size, milestone.root, milestone.time, None, 0),
            )
        )
        rows.places += [
            (position, one.arrival) for position, one in enumerate(confirmed, expected.size)
        ]
        rows.nodes += [(tree.number(level, place), value) for level, place, value in nodes]
        for position, one in enumerate(confirmed, expected.size):
            if one.gateway is not None:
                self._newest_anchor(one.gateway, position, one.size, one.verified)
        return rows.head

    def _newest_anchor(self, gateway: bytes, position: int, size: int, verified: bool) -> None:
        """A gateway's newest anchor: of those that it vouched for, the one of the largest log; until there is
        one, the last.
        """
        best = self._rows.anchors.get(gateway)
        if (
            best is None
            or verified > best[2]
            or (verified == best[2] and (not verified or size > best[1]))
        ):
            self._rows.anchors[gateway] = (position, size, verified)

    def _flush(self) -> None:
        rows, self._rows = self._rows, _Rows()
        db = self._db
        if rows.expected is not None and rows.head is not None:
            moved = db.execute(
                "UPDATE ledger SET head_index = ?, head_size = ?, head_root = ?, announced = ?, settled = ?"
                " WHERE head_index = ? AND head_size = ? AND head_root = ?",
                (
                    *(rows.head.index, rows.head.size, rows.head.root),
                    *(rows.announced, rows.settled),
                    *(rows.expected.index, rows.expected.size, rows.expected.root),
                ),
            )
            if moved.rowcount != 1:
                raise ForkError(
                    f"the database has moved on from milestone {rows.expected.index}",
                    hint="another process writes to this folder: end it, then start again",
                )
        db.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows.blocks)
        if not rows.milestones:
            return
        db.executemany("INSERT INTO milestones VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows.milestones)
        db.executemany("INSERT INTO places VALUES (?, ?)", rows.places)
        db.executemany("INSERT INTO nodes VALUES (?, ?)", rows.nodes)
        db.executemany(
            "INSERT INTO anchors VALUES (?, ?, ?, ?) ON CONFLICT (gateway) DO UPDATE"
            " SET position = excluded.position, size = excluded.size, verified = excluded.verified"
            " WHERE excluded.verified > verified"
            " OR (excluded.verified = verified AND (excluded.size > size OR NOT verified))",
            ((gateway, *values) for gateway, values in rows.anchors.items()),
        )

    def sign_off(self, index: int, note: bytes, witnesses: int = 0) -> None:
        """Keep the signed note of a milestone, which so many have cosigned."""
        rows = self._rows.milestones
        if rows and rows[-1][0] == index:
            rows[-1] = (*rows[-1][:-2], note, witnesses)
            return
        self._db.execute(
            "UPDATE milestones SET checkpoint = ?, witnesses = ? WHERE number = ?",
            (note, witnesses, index),
        )

    def cosign(self, index: int, line: str) -> bytes | None:
        """The note of a milestone with one more line of a witness; None if it has no note, or that line."""
        note = self.checkpoint(index)
        if note is None or f"\n{line}".encode() in note:
            return None
        grown = note + line.encode()
        self._db.execute(
            "UPDATE milestones SET checkpoint = ?, witnesses = witnesses + 1 WHERE number = ?",
            (grown, index),
        )
        return grown

    def add_fork(self, number: int, first: bytes, second: bytes, code: str) -> None:
        """Keep two milestones that contradict each other."""
        self._db.execute(
            "INSERT OR IGNORE INTO forks VALUES (?, ?, ?, ?)", (number, first, second, code)
        )
