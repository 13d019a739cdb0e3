"""The log's leaves in their order, and why some of them are no part of their chain."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.body import Beacon, Open, Readings
from tallystick.chain import Result
from tallystick.record import Record
from tallystick_gateway.store.database import Database

__all__ = ["Leaves"]


class Leaves(Database):
    """What was admitted, and what was kept as evidence."""

    def size(self) -> int:
        """Leaves of the log."""
        return int(self._one("SELECT coalesce(max(idx) + 1, 0) FROM leaves")[0])

    def entries(self, start: int, end: int) -> list[bytes]:
        """The leaves start..end-1."""
        rows = self._db.execute(
            "SELECT raw FROM leaves WHERE idx >= ? AND idx < ? ORDER BY idx", (start, end)
        )
        return [raw for (raw,) in rows]

    def leaves(self) -> Iterator[tuple[int, bytes, int, str, bytes]]:
        """All leaves in order: index, device, seq, result, bytes."""
        yield from self._db.execute("SELECT idx, device, seq, result, raw FROM leaves ORDER BY idx")

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
        row = row or self._one(
            "SELECT leaf FROM records WHERE device = ? AND id = ? AND seq BETWEEN ? AND ?",
            *(device, record_id, near - 1, near + 1),
        )
        row = row or self._one(
            "SELECT leaf FROM records WHERE device = ? AND id = ? AND kind = 4", device, record_id
        )
        return None if row is None else self.entries(row[0], row[0] + 1)[0]

    def add_leaf(self, idx: int, device: bytes, record: Record, result: Result) -> None:
        """Append a leaf; the caller knows the next index."""
        self._db.execute(
            "INSERT INTO leaves VALUES (?, ?, ?, ?, ?)",
            (idx, device, record.seq, result.value, record.raw),
        )

    def add_record(self, idx: int, device: bytes, record: Record) -> None:
        """Enter the leaf `idx` as its device's record of its seq; there is never a second one."""
        body = record.body
        boot = body.boot if isinstance(body, Readings) else None
        named = body.milestone if isinstance(body, Open | Beacon) else None
        self._db.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                device,
                record.seq,
                record.id,
                record.prev,
                record.signed.kid,
                record.kind.value,
                record.time,
                boot,
                named.id if named else None,
                named.ledger if named else None,
                idx,
            ),
        )
        if named is not None:
            self._db.execute("UPDATE milestones SET named = 1 WHERE id = ?", (named.id,))

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
