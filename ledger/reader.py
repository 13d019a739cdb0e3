"""What is in the ledger's database, read-only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tallystick import block, checkpoint, merkle
from tallystick.block import BlockKind
from tallystick.keys import ED25519, PublicKey
from tallystick.milestone import Confirmed, Milestone
from tallystick.milestone import parse as parse_milestone
from tallystick.proof import Cosigned
from tallystick_ledger import database, tree
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.limits import COSIGNED_WITHIN

__all__ = ["Head", "Reader", "prefix"]

_AT_ONCE: Final = 512  # ids in one query
_MILESTONE: Final = "SELECT raw FROM milestones JOIN blocks USING (arrival) WHERE"
_OUTSIDERS: Final = f"kind IN ({BlockKind.ANCHOR.value}, {BlockKind.STATEMENT.value})"


def prefix(block_id: bytes) -> int:
    """The first 8 bytes of an id, as SQLite's signed integer."""
    return int.from_bytes(block_id[:8], "big", signed=True)


@dataclass(frozen=True)
class Head:
    """The newest milestone's index, size and root; index 0 and the empty tree before the first."""

    index: int
    size: int
    root: bytes


class Reader:
    """What is in the database. A `Reader` of its own (`Reader.open`) never writes and serves one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        row = connection.execute("SELECT id, key FROM ledger").fetchone()
        self.ledger = bytes(row[0])
        self.key = PublicKey.from_bytes(row[1], ED25519)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The database as it is at this moment, read-only, until the block ends."""
        connection = database.connect(path, "ro")
        try:
            connection.execute("BEGIN")
            yield cls(connection)
        finally:
            connection.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """For queries that go through everything."""
        return self._db

    # ---- the head

    def head(self) -> Head:
        """The newest milestone."""
        row = self._db.execute("SELECT head_index, head_size, head_root FROM ledger").fetchone()
        return Head(*row)

    def announced(self) -> int:
        """Receipts of all positions below this one are at the broker."""
        return int(self._db.execute("SELECT announced FROM ledger").fetchone()[0])

    def round(self) -> int:
        """The round of the newest milestone, 0 before the first."""
        found = self._db.execute("SELECT round FROM milestones ORDER BY number DESC LIMIT 1")
        row = found.fetchone()
        return 0 if row is None else int(row[0])

    def pruned(self) -> int:
        """Below this position only those blocks have their bytes that are never pruned."""
        return int(self._db.execute("SELECT pruned FROM ledger").fetchone()[0])

    def forks(self) -> list[tuple[int, bytes, bytes, str]]:
        """(index, milestone, milestone, code) of each contradiction that was seen."""
        return list(self._db.execute("SELECT number, first, second, code FROM forks"))

    # ---- blocks

    def arrival(self, block_id: bytes) -> int | None:
        """As which block it came, counted from 1; None if it is not here."""
        row = self._db.execute(
            "SELECT arrival FROM blocks WHERE prefix = ? AND id = ?", (prefix(block_id), block_id)
        ).fetchone()
        return None if row is None else int(row[0])

    def last_arrival(self) -> int:
        """The number of the block that came last."""
        return int(self._db.execute("SELECT max(arrival) FROM blocks").fetchone()[0])

    def has(self, block_id: bytes) -> bool:
        """Is the block attached?"""
        return self.arrival(block_id) is not None

    def known(self, names: Sequence[bytes]) -> set[bytes]:
        """Which of these blocks are attached."""
        found: set[bytes] = set()
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            query = f"SELECT id FROM blocks WHERE prefix IN ({','.join('?' * len(some))})"  # noqa: S608
            found.update(bytes(row[0]) for row in self._db.execute(query, [*map(prefix, some)]))
        return found.intersection(names)

    def said(self, digest: bytes) -> bool:
        """Is a statement with this digest attached?"""
        found = self._db.execute("SELECT 1 FROM blocks WHERE digest = ?", (digest,))
        return found.fetchone() is not None

    def raw(self, block_id: bytes) -> bytes | None:
        """The exact bytes of a block; None if it is not here or was pruned."""
        row = self._db.execute(
            "SELECT raw FROM blocks WHERE prefix = ? AND id = ?", (prefix(block_id), block_id)
        ).fetchone()
        return None if row is None or row[0] is None else bytes(row[0])

    def pending(self) -> Iterator[tuple[int, bytes, bool]]:
        """(arrival, bytes, verified) of the unconfirmed blocks, in order of arrival."""
        return iter(
            self._db.execute(
                "SELECT arrival, raw, verified FROM blocks WHERE arrival > (SELECT settled FROM ledger)"
                " AND NOT EXISTS (SELECT 1 FROM places WHERE places.arrival = blocks.arrival)"
                " ORDER BY arrival"
            )
        )

    def pending_count(self) -> int:
        """How many blocks no milestone has confirmed."""
        query = "SELECT (SELECT max(arrival) FROM blocks) - head_size FROM ledger"
        return int(self._db.execute(query).fetchone()[0])

    # ---- positions

    def position(self, block_id: bytes) -> int | None:
        """The position of a confirmed block."""
        row = self._db.execute(
            "SELECT position FROM blocks JOIN places USING (arrival) WHERE prefix = ? AND id = ?",
            (prefix(block_id), block_id),
        ).fetchone()
        return None if row is None else int(row[0])

    def id_at(self, position: int) -> bytes:
        """The id of the block at a position."""
        row = self._db.execute(
            "SELECT id FROM places JOIN blocks USING (arrival) WHERE position = ?", (position,)
        ).fetchone()
        if row is None:
            raise _damaged(f"no block at position {position}")
        return bytes(row[0])

    def round_of(self, block_id: bytes) -> int | None:
        """The round in which the block was confirmed; None if it is not here or pending."""
        row = self._db.execute(
            "SELECT (SELECT round FROM milestones WHERE size > position ORDER BY size LIMIT 1)"
            " FROM blocks JOIN places USING (arrival) WHERE prefix = ? AND id = ?",
            (prefix(block_id), block_id),
        ).fetchone()
        return None if row is None else int(row[0])

    def milestone(self, index: int) -> Milestone | None:
        """The milestone with this index; None if there is none, or its bytes were pruned."""
        return self._milestone(f"{_MILESTONE} number = ?", index)

    def confirming(self, position: int) -> Milestone | None:
        """The milestone that confirmed a position; None if its bytes were pruned."""
        return self._milestone(f"{_MILESTONE} size > ? ORDER BY size LIMIT 1", position)

    def _milestone(self, query: str, value: int) -> Milestone | None:
        row = self._db.execute(query, (value,)).fetchone()
        return None if row is None or row[0] is None else parse_milestone(row[0])

    def milestone_raw(self, index: int) -> bytes | None:
        """The bytes of the milestone with this index."""
        found = self.milestone(index)
        return None if found is None else found.block.raw

    def sized(self, size: int) -> tuple[int, bytes] | None:
        """(index, root) of the milestone that confirmed the first `size` blocks."""
        row = self._db.execute(
            "SELECT number, root FROM milestones WHERE size = ?", (size,)
        ).fetchone()
        return None if row is None else (row[0], bytes(row[1]))

    def checkpoint(self, index: int) -> bytes | None:
        """The signed note of the milestone with this index, if one was made."""
        row = self._db.execute(
            "SELECT checkpoint FROM milestones WHERE number = ?", (index,)
        ).fetchone()
        return None if row is None else row[0]

    def cosigned(self, block_id: bytes) -> Cosigned | None:
        """Of the checkpoints from the block's milestone on, the first that most witnesses cosigned, and the way
        to it; None if none was.
        """
        position = self.position(block_id)
        if position is None:
            return None
        number, size = self._db.execute(
            "SELECT number, size FROM milestones WHERE size > ? ORDER BY size LIMIT 1", (position,)
        ).fetchone()
        row = self._db.execute(
            "SELECT checkpoint, size FROM milestones WHERE number BETWEEN ? AND ? AND witnesses > 0"
            " ORDER BY witnesses DESC, number LIMIT 1",
            (number, number + COSIGNED_WITHIN),
        ).fetchone()
        if row is None:
            return None
        path = tree.consistency(self.node, size, row[1])
        return Cosigned(checkpoint.parse(row[0]), tuple(path))

    def confirmed(self, block_id: bytes) -> Confirmed | None:
        """The block with its proof in the milestone that confirmed it; None until one has, and when it was
        pruned.
        """
        row = self._db.execute(
            "SELECT raw, position FROM blocks JOIN places USING (arrival) WHERE prefix = ? AND id = ?",
            (prefix(block_id), block_id),
        ).fetchone()
        if row is None or row[0] is None:
            return None
        milestone = self.confirming(row[1])
        if milestone is None:
            raise _damaged(f"the milestone of position {row[1]} is missing")
        path = tree.path(self.node, row[1], milestone.size)
        return Confirmed(block.parse(row[0]), row[1], tuple(path), milestone)

    def node(self, level: int, place: int) -> bytes:
        """The hash of a complete subtree."""
        if level == 0:
            return merkle.leaf_hash(self.id_at(place))
        row = self._db.execute(
            "SELECT hash FROM nodes WHERE number = ?", (tree.number(level, place),)
        ).fetchone()
        if row is None:
            raise _damaged(f"tree node {level}/{place} is missing")
        return bytes(row[0])

    # ---- lists

    def outsiders_confirmed(self, start: int, limit: int) -> list[tuple[int, bytes, bytes | None]]:
        """(position, id, gateway) of the anchors and statements confirmed at `start` and after; gateway is None
        of a statement.
        """
        query = (
            "SELECT position, id, CASE kind WHEN 2 THEN subject END FROM places"  # noqa: S608
            f" JOIN blocks USING (arrival) WHERE position >= ? AND {_OUTSIDERS} ORDER BY position LIMIT ?"
        )
        return list(self._db.execute(query, (start, limit)))

    def export(self, start: int, limit: int) -> Iterator[bytes]:
        """The bytes of the confirmed blocks in order, from position `start` on; ends before a pruned one."""
        query = (
            "SELECT raw FROM places JOIN blocks USING (arrival) WHERE position >= ?"
            " ORDER BY position LIMIT ?"
        )
        for (raw,) in self._db.execute(query, (start, limit)):
            if raw is None:
                return
            yield raw

    def statements(self, device: bytes, start: int, limit: int) -> Iterator[bytes]:
        """Ids of blocks with statements about `device`, each at its first position, from `start` on."""
        query = """
            SELECT id FROM blocks AS b JOIN places AS p USING (arrival)
            WHERE kind = 3 AND subject = ? AND position >= ? AND NOT EXISTS
                (SELECT 1 FROM blocks AS c JOIN places AS q USING (arrival)
                 WHERE c.digest = b.digest AND q.position < p.position)
            ORDER BY position LIMIT ?"""
        return (row[0] for row in self._db.execute(query, (device, start, limit)))

    def newest_anchor(self, gateway: bytes) -> bytes | None:
        """Id of the block with the newest confirmed anchor of `gateway`."""
        row = self._db.execute(
            "SELECT position FROM anchors WHERE gateway = ?", (gateway,)
        ).fetchone()
        return None if row is None else self.id_at(row[0])

    def gateways(self, limit: int) -> list[bytes]:
        """Gateways that anchors name, in order of their ids."""
        found = self._db.execute("SELECT gateway FROM anchors ORDER BY gateway LIMIT ?", (limit,))
        return [row[0] for row in found]


def _damaged(detail: str) -> LedgerError:
    return LedgerError(detail, hint="run tally-ledger fsck and restore a backup")
