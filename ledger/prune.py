"""Old blocks give back their room: their bytes go, their ids stay, and with them the tree.

So every proof that was given stays what it was - it holds the block, its path and the milestone - and every
later root, path and consistency proof is computed as before. What never goes: genesis, all statements (a
device's life is asked for as long as there are devices), each gateway's newest anchor, the milestones that
confirm these, and whatever is young enough to build on.

A pruned block that is sent again is answered with `block.pruned`: its proof cannot be given a second time.
"""

from __future__ import annotations

from typing import Final

from tallystick.block import BlockKind
from tallystick_ledger.dag import MAX_DEPTH
from tallystick_ledger.store import Store

__all__ = ["prune", "prunable"]

STEP: Final = 1_000  # blocks of one transaction


def prunable(store: Store, before: int) -> int:
    """The position up to which blocks may go: confirmed before `before` (Unix seconds), and not young."""
    row = store.connection.execute(
        "SELECT max(size) FROM milestones WHERE time < ? AND round < ?",
        (before, store.round() - MAX_DEPTH),
    ).fetchone()
    return int(row[0] or 0)


def prune(store: Store, upto: int, limit: int = STEP) -> int:
    """Prune at most `limit` positions below `upto`, in one transaction; how many were looked at."""
    start = store.pruned()
    end = min(upto, start + limit)
    if start >= end:
        return 0
    db = store.connection
    with store.transaction():
        rows = db.execute(
            "SELECT arrival, kind FROM places JOIN blocks USING (arrival)"
            " WHERE position >= ? AND position < ?",
            (start, end),
        ).fetchall()
        gone = [
            (arrival,)
            for arrival, kind in rows
            if (kind == BlockKind.ANCHOR and not _newest(store, arrival))
            or (kind == BlockKind.MILESTONE and not _needed(store, arrival))
        ]
        db.executemany("UPDATE blocks SET raw = NULL WHERE arrival = ?", gone)
        db.executemany(
            "UPDATE milestones SET checkpoint = NULL, witnesses = 0 WHERE arrival = ?", gone
        )
        db.execute("UPDATE ledger SET pruned = ?", (end,))
    return end - start


def _newest(store: Store, arrival: int) -> bool:
    """Is this block a gateway's newest anchor?"""
    found = store.connection.execute(
        "SELECT 1 FROM places JOIN blocks USING (arrival) JOIN anchors ON gateway = subject"
        " WHERE arrival = ? AND places.position = anchors.position",
        (arrival,),
    )
    return found.fetchone() is not None


def _needed(store: Store, arrival: int) -> bool:
    """Does this milestone confirm a block that stays?"""
    found = store.connection.execute(
        "SELECT 1 FROM milestones AS m JOIN places AS p ON p.position < m.size AND p.position >="
        " ifnull((SELECT size FROM milestones WHERE number = m.number - 1), 0)"
        " JOIN blocks AS b ON b.arrival = p.arrival"
        " LEFT JOIN anchors AS a ON a.gateway = b.subject AND a.position = p.position"
        " WHERE m.arrival = ? AND (b.kind IN (0, 3) OR a.position IS NOT NULL) LIMIT 1",
        (arrival,),
    )
    return found.fetchone() is not None
