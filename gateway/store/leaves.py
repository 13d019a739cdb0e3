"""The log's leaves in their order, and why some of them are no part of their chain."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from tallystick import record as records
from tallystick.body import Beacon, Open, Rotate
from tallystick.chain import Result
from tallystick.record import Record
from tallystick_gateway.store.index import Index
from tallystick_gateway.store.places import Place, start_of

__all__ = ["Leaf", "Leaves"]


class Leaf(NamedTuple):
    """A leaf as it is stored; `kind`, `time` and `start` are None for evidence."""

    idx: int
    device: bytes
    seq: int
    result: str
    kind: int | None
    time: int | None
    start: int | None
    raw: bytes

    @property
    def place(self) -> Place | None:
        """Where the index should have it, None for evidence."""
        if self.kind is None or self.time is None or self.start is None:
            return None
        return Place(self.seq, self.idx, self.kind, self.time, self.start)


class Leaves(Index):
    """What was admitted, and what was kept as evidence."""

    def __init__(self, database: sqlite3.Connection, *, writes: bool = False) -> None:
        super().__init__(database, writes=writes)
        self._waiting: list[Leaf] = []  # of the transaction in hand, not in the database yet

    def size(self) -> int:
        """Leaves of the log."""
        self._store_waiting()
        return self._leaf_count()

    def entries(self, start: int, end: int) -> list[bytes]:
        """The leaves start..end-1."""
        self._store_waiting()
        rows = self._db.execute(
            "SELECT raw FROM leaves WHERE idx >= ? AND idx < ? ORDER BY idx", (start, end)
        )
        return [raw for (raw,) in rows]

    def raw(self, idx: int) -> bytes:
        """The bytes of a leaf that is there."""
        self._store_waiting()
        return bytes(self._one("SELECT raw FROM leaves WHERE idx = ?", idx)[0])

    def leaves(self) -> Iterator[Leaf]:
        """All leaves in order."""
        self._store_waiting()
        for row in self._db.execute("SELECT * FROM leaves ORDER BY idx"):
            yield Leaf(*row)

    def evidence_result(self, record_id: bytes) -> str | None:
        """What became of the record with this id that is no part of its chain, None if it is not
        logged.
        """
        row = self._one("SELECT result FROM evidence WHERE id = ?", record_id)
        return None if row is None else str(row[0])

    def raw_by_id(self, device: bytes, near: int, record_id: bytes) -> bytes | None:
        """The bytes of a logged record of `device` that is evidence, a rotation, or stands at most
        one place from seq `near`: all that a fork can name.
        """
        row = self._one("SELECT leaf FROM evidence WHERE device = ? AND id = ?", device, record_id)
        if row is not None:
            return self.raw(row[0])
        rotations = self._db.execute(
            "SELECT seq FROM landmarks WHERE device = ? AND kind = 4", (device,)
        ).fetchall()
        for seq in (near - 1, near, near + 1, *(seq for (seq,) in rotations)):
            place = self.place(device, seq)
            if place is not None and place.start == start_of(record_id):
                raw = self.raw(place.leaf)
                if records.parse(raw).id == record_id:
                    return raw
        return None

    def add_leaf(self, idx: int, device: bytes, record: Record, result: Result) -> None:
        """Append a leaf; the caller knows the next index, and that the chain, if the record is part
        of it, has none of its seq.
        """
        if result is not Result.ADMITTED:
            self._waiting.append(
                Leaf(idx, device, record.seq, result.value, None, None, None, record.raw)
            )
            return
        place = Place(record.seq, idx, record.kind.value, record.time, start_of(record.id))
        self._enter(device, place)
        self._waiting.append(
            Leaf(
                *(idx, device, record.seq, result.value),
                *(place.kind, place.time, place.start, record.raw),
            )
        )
        body = record.body
        named = body.milestone if isinstance(body, Open | Beacon) else None
        if named is not None or isinstance(body, Rotate):
            self._db.execute(
                "INSERT INTO landmarks VALUES (?, ?, ?, ?, ?)",
                (
                    *(device, record.seq, place.kind),
                    *((named.id, named.ledger) if named else (None, None)),
                ),
            )
        if named is not None:
            self._db.execute("UPDATE milestones SET named = 1 WHERE id = ?", (named.id,))

    def _store_waiting(self) -> None:
        if self._waiting:
            rows, self._waiting = self._waiting, []
            self._db.executemany("INSERT INTO leaves VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._in_tail += len(rows)

    def _finish(self) -> None:
        if self._waiting:
            size = self._waiting[-1].idx + 1
            self._store_waiting()
            self._merge(size)

    def _forget(self) -> None:
        self._waiting = []
        self._forget_newest()

    def add_evidence(
        self,
        idx: int,
        device: bytes,
        record: Record,
        result: Result,
        other: bytes | None,
        detail: str,
        at: int,
    ) -> None:
        """Say why the leaf `idx` is no part of its chain."""
        self._store_waiting()  # it is referred to
        self._db.execute(
            "INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (idx, record.id, device, record.seq, result.value, other, detail, at),
        )

    def evidence_count(self, device: bytes) -> int:
        """Forks and disowned records that are logged for a device."""
        return int(self._one("SELECT count(*) FROM evidence WHERE device = ?", device)[0])

    def evidence(self, device: bytes, limit: int) -> list[tuple[int, int, str, bytes | None, str]]:
        """Leaf, seq, result, id of the other record, detail."""
        return self._db.execute(
            "SELECT leaf, seq, result, other, detail FROM evidence WHERE device = ? ORDER BY leaf LIMIT ?",
            (device, limit),
        ).fetchall()
