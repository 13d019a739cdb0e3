"""What was refused, with its reason."""

from __future__ import annotations

from tallystick_gateway.rows import Rejected
from tallystick_gateway.store.database import Database

__all__ = ["Quarantine"]


class Quarantine(Database):
    """Refused messages, oldest first out."""

    def quarantine(self, rejected: Rejected) -> None:
        """Keep a refused message."""
        r = rejected
        self._db.execute(
            "INSERT INTO quarantine (at, topic, device, seq, code, detail, length, raw)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (r.at, r.topic, r.device, r.seq, r.code, r.detail, r.length, r.raw),
        )

    def quarantine_load(self) -> tuple[int, int]:
        """(rows, bytes) in quarantine."""
        rows, held = self._one("SELECT count(*), coalesce(sum(length(raw)), 0) FROM quarantine")
        return int(rows), int(held)

    def evict_oldest(self) -> int:
        """Drop the oldest refused message; its bytes."""
        n, held = self._one("SELECT n, length(raw) FROM quarantine ORDER BY n LIMIT 1")
        self._db.execute("DELETE FROM quarantine WHERE n = ?", (n,))
        return int(held)

    def quarantined(self, limit: int, before: int | None = None) -> list[tuple[int, Rejected]]:
        """The newest refused messages (older than number `before`), newest first."""
        rows = self._db.execute(
            "SELECT n, at, topic, device, seq, code, detail, length, raw FROM quarantine"
            " WHERE n < ? ORDER BY n DESC LIMIT ?",
            (2**62 if before is None else before, limit),
        )
        return [(row[0], Rejected(*row[1:])) for row in rows]
