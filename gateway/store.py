"""SQLite: the truth about what the gateway holds (schema.sql).

WAL with synchronous=FULL: when `transaction` returns, a power cut loses nothing of it. One process
writes; any number read, also while it does, and also when nobody has the database open. What a
reader sees within `snapshot` is of one moment.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tallystick.body import Beacon, Open, Readings
from tallystick.chain import Link, Result
from tallystick.checkpoint import Checkpoint
from tallystick.milestone import Milestone
from tallystick.record import Record
from tallystick_gateway import bounds
from tallystick_gateway.folder import FolderError
from tallystick_gateway.rows import Anchor, DeviceRow, Rejected, StoredCheckpoint

__all__ = ["DeviceLinks", "Store"]

VERSION: Final = 1
_SCHEMA: Final = Path(__file__).with_name("schema.sql")
_BUSY_TIMEOUT_S: Final = 2.0


class Store:
    """The database, for its writer (`Store.open`) or for a reader (`Store.read`)."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    @classmethod
    def open(cls, path: Path) -> Store:
        """The database for the one process that writes; made if it is not there."""
        # made in one thread and then used by another, never by two at a time
        database = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            schema = _SCHEMA.read_text(encoding="utf-8")
            database.executescript(f"BEGIN;\n{schema}\nPRAGMA user_version = {VERSION};\nCOMMIT;")
        elif version != VERSION:
            database.close()
            raise FolderError(
                f"{str(path)!r} has version {version}, this program knows {VERSION}",
                hint="use the program that wrote it, or a newer one",
            )
        return cls(database)

    @classmethod
    def read(cls, path: Path) -> Store:
        """The database for reading only; `FolderError` if there is none."""
        if not path.is_file():
            raise FolderError(
                f"no database at {str(path)!r}", hint="the gateway has not been run there yet"
            )
        try:
            return cls(_read_only(path, "mode=ro"))
        except sqlite3.OperationalError:
            # WAL wants to write beside the file; where nobody can, nobody else writes either
            return cls(_read_only(path, "mode=ro&immutable=1"))

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it is durable when this returns, or nothing is."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read within is of one moment."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def _one(self, sql: str, *values: object) -> Any:
        return self._db.execute(sql, values).fetchone()

    # ---- leaves

    def size(self) -> int:
        """Leaves of the log."""
        return int(self._one("SELECT coalesce(max(idx) + 1, 0) FROM leaves")[0])

    def entries(self, start: int, end: int) -> list[bytes]:
        """The leaves start..end-1."""
        rows = self._db.execute(
            "SELECT raw FROM leaves WHERE idx >= ? AND idx < ? ORDER BY idx", (start, end)
        )
        return [raw for (raw,) in rows]

    def leaves(self) -> Iterator[tuple[int, bytes, int, bytes, str, bytes]]:
        """All leaves in order: index, device, seq, id, result, bytes."""
        yield from self._db.execute(
            "SELECT idx, device, seq, id, result, raw FROM leaves ORDER BY idx"
        )

    def leaf_result(self, record_id: bytes) -> str | None:
        """What became of the logged record with this id, None if it is not logged."""
        row = self._one("SELECT result FROM leaves WHERE id = ?", record_id)
        return None if row is None else str(row[0])

    def raw_by_id(self, record_id: bytes) -> bytes | None:
        """The bytes of a logged record."""
        row = self._one("SELECT raw FROM leaves WHERE id = ?", record_id)
        return None if row is None else bytes(row[0])

    def add_leaf(self, idx: int, device: bytes, record: Record, result: Result) -> None:
        """Append a leaf; the caller knows the next index."""
        self._db.execute(
            "INSERT INTO leaves VALUES (?, ?, ?, ?, ?, ?)",
            (idx, record.id, device, record.seq, result.value, record.raw),
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
        seq: int,
        result: Result,
        other: bytes | None,
        detail: str,
        at: int,
    ) -> None:
        """Say why the leaf `idx` is no part of its chain."""
        self._db.execute(
            "INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?)",
            (idx, device, seq, result.value, other, detail, at),
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

    # ---- chains

    def link(self, device: bytes, seq: int) -> Link | None:
        """What the chain rules need of a record."""
        row = self._one(
            "SELECT id, prev, kid FROM records WHERE device = ? AND seq = ?", device, seq
        )
        return None if row is None else Link(*row)

    def rows(
        self, device: bytes, first: int, last: int, limit: int
    ) -> list[tuple[int, int, bytes]]:
        """(seq, leaf, bytes) of the chain's records first..last."""
        return self._db.execute(
            "SELECT r.seq, r.leaf, l.raw FROM records r JOIN leaves l ON l.idx = r.leaf"
            " WHERE r.device = ? AND r.seq BETWEEN ? AND ? ORDER BY r.seq LIMIT ?",
            (device, first, last, limit),
        ).fetchall()

    def rotations(self, device: bytes, before: int) -> list[bytes]:
        """The `rotate` records with a seq below `before`, in order."""
        rows = self._db.execute(
            "SELECT l.raw FROM records r JOIN leaves l ON l.idx = r.leaf"
            " WHERE r.device = ? AND r.kind = 4 AND r.seq < ? ORDER BY r.seq",
            (device, before),
        )
        return [raw for (raw,) in rows]

    def naming(self, device: bytes, upto: int, ledger: bytes) -> Iterator[tuple[int, bytes]]:
        """(seq, milestone id) of the records up to `upto` that name a milestone of `ledger`, newest
        first.
        """
        yield from self._db.execute(
            "SELECT seq, milestone FROM records WHERE device = ? AND seq <= ?"
            " AND milestone IS NOT NULL AND ledger = ? ORDER BY seq DESC",
            (device, upto, ledger),
        )

    def readings_before(self, device: bytes, time: int, limit: int) -> list[tuple[int, int]]:
        """(seq, time) of readings that start at `time` or before, latest start first."""
        return self._db.execute(
            "SELECT seq, time FROM records WHERE device = ? AND kind = 1 AND time <= ?"
            " ORDER BY time DESC, seq DESC LIMIT ?",
            (device, time, limit),
        ).fetchall()

    # ---- devices

    def device(self, device: bytes) -> DeviceRow | None:
        """The device's row."""
        row = self._one(
            "SELECT device, did, state, last_seen FROM devices WHERE device = ?", device
        )
        return None if row is None else DeviceRow(*row)

    def devices(self) -> Iterator[DeviceRow]:
        """All devices that ever sent something verified."""
        for row in self._db.execute(
            "SELECT device, did, state, last_seen FROM devices ORDER BY device"
        ):
            yield DeviceRow(*row)

    def put_device(self, row: DeviceRow) -> None:
        """Keep a device's row."""
        self._db.execute(
            "INSERT INTO devices VALUES (?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET"
            " state = excluded.state, last_seen = excluded.last_seen",
            (row.device, row.did, row.state, row.last_seen),
        )

    def add_key(self, kid: bytes, device: bytes) -> None:
        """Remember whose a rotated key is."""
        self._db.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (kid, device))

    def device_of_key(self, kid: bytes) -> bytes | None:
        """The device that rotated to the key with this kid."""
        row = self._one("SELECT device FROM keys WHERE kid = ?", kid)
        return None if row is None else bytes(row[0])

    def unanchored(self, device: bytes, size: int) -> int:
        """The device's leaves that no confirmed anchor covers, `size` being the largest confirmed
        one.
        """
        row = self._one("SELECT count(*) FROM leaves WHERE idx >= ? AND device = ?", size, device)
        return int(row[0])

    def newest_within(self, device: bytes, size: int) -> int | None:
        """Highest seq of the device's chain whose leaf lies within the first `size`, if any."""
        row = self._db.execute(
            "SELECT seq FROM records WHERE device = ? AND leaf < ? ORDER BY seq DESC LIMIT 1",
            (device, size),
        ).fetchone()
        return None if row is None else int(row[0])

    # ---- quarantine

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

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        self._db.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + ?",
            (name, by, by),
        )

    def counters(self) -> dict[str, int]:
        """All counters."""
        return dict(self._db.execute("SELECT name, value FROM counters").fetchall())

    # ---- what was signed, and what the ledger said

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

    _ANCHOR = "SELECT id, origin, size, block, state, detail, built, confirmed FROM anchors "

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
                " EXISTS (SELECT 1 FROM records WHERE milestone = ?1), ?5",
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

    # ---- facts

    def fact(self, name: str) -> Any:
        """A JSON value by name, None if it was never set."""
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        return None if row is None else json.loads(row[0])

    def set_fact(self, name: str, value: object) -> None:
        """Keep a JSON value; None forgets it."""
        with self.transaction():
            if value is None:
                self._db.execute("DELETE FROM facts WHERE name = ?", (name,))
            else:
                self._db.execute(
                    "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value))
                )


class DeviceLinks:
    """The records of one device for `tallystick.chain`. What `add` brings waits in `fresh` until
    the caller stores it.
    """

    def __init__(self, store: Store, device: bytes) -> None:
        self._store = store
        self._device = device
        self.fresh: dict[int, Link] = {}

    def get(self, seq: int) -> Link | None:
        """The link at `seq`."""
        fresh = self.fresh.get(seq)
        return fresh if fresh is not None else self._store.link(self._device, seq)

    def add(self, seq: int, link: Link) -> None:
        """Called once for each admitted record."""
        self.fresh[seq] = link


def _read_only(path: Path, mode: str) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.resolve().as_uri()}?{mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute("SELECT count(*) FROM facts").fetchone()
    except sqlite3.OperationalError:
        database.close()
        raise
    if version != VERSION:
        database.close()
        raise FolderError(f"{str(path)!r} has version {version}, this program knows {VERSION}")
    return database
