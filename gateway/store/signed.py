"""What this gateway has signed, and what the ledger said of it."""

from __future__ import annotations

from tallystick.checkpoint import Checkpoint
from tallystick.milestone import Milestone
from tallystick_gateway import bounds
from tallystick_gateway.rows import Anchor, StoredCheckpoint
from tallystick_gateway.store.database import Database

__all__ = ["Signed"]


class Signed(Database):
    """Checkpoints, anchors and milestones."""

    _ANCHOR = "SELECT id, origin, size, block, state, detail, built, confirmed FROM anchors "

    def newest_checkpoint(self, origin: str) -> StoredCheckpoint | None:
        """The largest checkpoint signed under `origin`."""
        row = self._one(
            "SELECT size, root, note FROM checkpoints WHERE origin = ? ORDER BY size DESC LIMIT 1",
            origin,
        )
        return None if row is None else StoredCheckpoint(*row)

    def all_checkpoints(self) -> list[tuple[str, int, bytes, bytes]]:
        """(origin, size, root, note), by size."""
        return self._db.execute(
            "SELECT origin, size, root, note FROM checkpoints ORDER BY size"
        ).fetchall()

    def put_checkpoint(
        self, signed: Checkpoint, previous: StoredCheckpoint | None, at: int
    ) -> bool:
        """Keep `signed` if the newest of its origin still is `previous`; else change nothing and
        say so.
        """
        with self.transaction():
            if self.newest_checkpoint(signed.origin) != previous:
                return False
            self._db.execute(
                "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?)",
                (signed.origin, signed.size, signed.root, signed.raw, at),
            )
            self._db.execute(
                "DELETE FROM checkpoints WHERE origin = ?1 AND size < coalesce((SELECT size FROM"
                " checkpoints WHERE origin = ?1 ORDER BY size DESC LIMIT 1 OFFSET ?2), 0)",
                (signed.origin, bounds.CHECKPOINTS),
            )
        return True

    def anchor(self, block: bytes) -> Anchor | None:
        """The anchor with this block id."""
        row = self._one(self._ANCHOR + "WHERE id = ?", block)
        return None if row is None else Anchor(*row)

    def anchors(self, *states: str) -> list[Anchor]:
        """The anchors in any of these states, oldest first."""
        marks = ", ".join("?" * len(states))
        rows = self._db.execute(
            f"{self._ANCHOR} WHERE state IN ({marks}) ORDER BY built, size",
            states,
        )
        return [Anchor(*row) for row in rows]

    def add_anchor(self, anchor: Anchor) -> None:
        """Keep a block before it is submitted."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO anchors VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    anchor.id,
                    anchor.origin,
                    anchor.size,
                    anchor.block,
                    anchor.state,
                    anchor.detail,
                    anchor.built,
                    anchor.confirmed,
                ),
            )

    def answer_anchor(
        self, block: bytes, state: str, detail: str, confirmed: bytes | None = None
    ) -> None:
        """Keep what the ledger said; a confirmed anchor stays confirmed."""
        with self.transaction():
            self._db.execute(
                "UPDATE anchors SET state = ?, detail = ?, confirmed = ?"
                " WHERE id = ? AND state <> 'confirmed'",
                (state, detail, confirmed, block),
            )

    def earliest_anchor(self, size: int) -> Anchor | None:
        """The confirmed anchor with the smallest checkpoint that has at least `size` leaves."""
        row = self._one(
            self._ANCHOR + "WHERE state = 'confirmed' AND size >= ? ORDER BY size, rowid LIMIT 1",
            size,
        )
        return None if row is None else Anchor(*row)

    def anchored_size(self, origin: str | None = None) -> int:
        """Leaves that confirmed anchors cover, those of one origin or all."""
        row = self._one(
            "SELECT coalesce(max(size), 0) FROM anchors WHERE state = 'confirmed'"
            " AND origin = coalesce(?, origin)",
            origin,
        )
        return int(row[0])

    def add_milestone(self, milestone: Milestone) -> None:
        """Keep a verified milestone, and of the unnamed ones the newest."""
        with self.transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO milestones SELECT ?1, ?2, ?3, ?4,"
                " EXISTS (SELECT 1 FROM landmarks WHERE milestone = ?1), ?5",
                (
                    milestone.id,
                    milestone.ledger,
                    milestone.index,
                    milestone.time,
                    milestone.block.raw,
                ),
            )
            self._db.execute(
                "DELETE FROM milestones WHERE named = 0 AND ledger = ? AND number < ?",
                (milestone.ledger, milestone.index - bounds.MILESTONES),
            )

    def milestone(self, milestone: bytes) -> bytes | None:
        """The block of a milestone."""
        row = self._one("SELECT raw FROM milestones WHERE id = ?", milestone)
        return None if row is None else bytes(row[0])

    def newest_milestone(self, ledger: bytes) -> bytes | None:
        """The block of the newest milestone of a ledger."""
        row = self._one(
            "SELECT raw FROM milestones WHERE ledger = ? ORDER BY number DESC LIMIT 1", ledger
        )
        return None if row is None else bytes(row[0])
