"""Devices, their chains' records by seq, and whose the rotated keys are."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.chain import Link
from tallystick_gateway.rows import DeviceRow
from tallystick_gateway.store.database import Database

__all__ = ["Chains", "DeviceLinks"]


class Chains(Database):
    """What belongs to one device."""

    def link(self, device: bytes, seq: int) -> Link | None:
        """What the chain rules need of a record."""
        row = self._one(
            "SELECT id, prev, kid FROM records WHERE device = ? AND seq = ?", device, seq
        )
        return None if row is None else Link(*row)

    def raw_at(self, device: bytes, seq: int) -> bytes | None:
        """The bytes of the chain's record `seq`."""
        row = self._one(
            "SELECT l.raw FROM records r JOIN leaves l ON l.idx = r.leaf"
            " WHERE r.device = ? AND r.seq = ?",
            device,
            seq,
        )
        return None if row is None else bytes(row[0])

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

    def readings_between(self, device: bytes, since: int, until: int) -> tuple[int, int] | None:
        """The lowest and the highest seq of readings that start from `since` to `until` (Unix
        seconds); None if there are none.
        """
        row = self._one(
            "SELECT MIN(seq), MAX(seq) FROM records"
            " WHERE device = ? AND kind = 1 AND time BETWEEN ? AND ?",
            device,
            since,
            until,
        )
        return None if row is None or row[0] is None else (row[0], row[1])

    def newer_readings(self, device: bytes, seq: int) -> bool:
        """Does the chain hold readings after `seq`?"""
        return (
            self._one(
                "SELECT 1 FROM records WHERE device = ? AND seq > ? AND kind = 1 LIMIT 1",
                device,
                seq,
            )
            is not None
        )

    def find(self, record_id: bytes) -> tuple[bytes, int, str] | None:
        """Device, seq and result of the logged record with this id; looks through all records."""
        row = self._one("SELECT device, seq, result FROM evidence WHERE id = ?", record_id)
        row = row or self._one(
            "SELECT device, seq, 'admitted' FROM records WHERE id = ?", record_id
        )
        return None if row is None else (bytes(row[0]), int(row[1]), str(row[2]))

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


class DeviceLinks:
    """The records of one device for `tallystick.chain`. What `add` brings waits in `fresh` until
    the caller stores it.

    A caller who is the only one that writes says what the chain's `top` is: then a record that goes
    on at the head, as nearly all do, costs no question to the database.
    """

    def __init__(self, store: Chains, device: bytes) -> None:
        self._store = store
        self._device = device
        self._head: tuple[int, Link] | None = None
        self.top: int | None = None
        self.fresh: dict[int, Link] = {}

    def get(self, seq: int) -> Link | None:
        """The link at `seq`."""
        if self.top is not None and seq > self.top:
            return None
        if self._head is not None and self._head[0] == seq:
            return self._head[1]
        fresh = self.fresh.get(seq)
        return fresh if fresh is not None else self._store.link(self._device, seq)

    def add(self, seq: int, link: Link) -> None:
        """Called once for each admitted record."""
        self.fresh[seq] = link
        if self.top is not None and seq > self.top:
            self.top, self._head = seq, (seq, link)
