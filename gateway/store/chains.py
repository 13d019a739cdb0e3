"""Devices, their chains' records by seq, and whose the rotated keys are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from tallystick import limits, record
from tallystick.body import Kind
from tallystick.chain import Link, Result
from tallystick.errors import LinkError, TallystickError
from tallystick_gateway.rows import DeviceRow
from tallystick_gateway.store.leaves import Leaves
from tallystick_gateway.store.places import START_BYTES

__all__ = ["Chains", "DeviceLinks"]


class Chains(Leaves):
    """What belongs to one device."""

    def link(self, device: bytes, seq: int) -> Link | None:
        """What the chain rules need of a record; `LinkError` if the disk has changed it."""
        raw = self.raw_at(device, seq)
        if raw is None:
            return None
        try:
            held = record.parse(raw)
        except TallystickError as error:
            raise LinkError(
                "gateway.internal",
                f"the stored record {seq} of device {device.hex()} is damaged",
                hint="run tally-gateway fsck, and restore from a backup",
            ) from error
        return Link(held.id, held.prev, held.signed.kid)

    def raw_at(self, device: bytes, seq: int) -> bytes | None:
        """The bytes of the chain's record `seq`."""
        place = self.place(device, seq)
        return None if place is None else self.raw(place.leaf)

    def rows(
        self, device: bytes, first: int, last: int, limit: int
    ) -> list[tuple[int, int, bytes]]:
        """(seq, leaf, bytes) of the chain's records first..last."""
        places = islice(self.places(device, first, last), limit)
        return [(place.seq, place.leaf, self.raw(place.leaf)) for place in places]

    def rotations(self, device: bytes, before: int) -> list[bytes]:
        """The `rotate` records with a seq below `before`, in order."""
        rows = self._db.execute(
            "SELECT seq FROM landmarks WHERE device = ? AND kind = 4 AND seq < ? ORDER BY seq",
            (device, before),
        ).fetchall()
        return [raw for (seq,) in rows if (raw := self.raw_at(device, seq)) is not None]

    def naming(self, device: bytes, upto: int, ledger: bytes) -> Iterator[tuple[int, bytes]]:
        """(seq, milestone id) of the records up to `upto` that name a milestone of `ledger`, newest
        first.
        """
        yield from self._db.execute(
            "SELECT seq, milestone FROM landmarks WHERE device = ? AND seq <= ?"
            " AND ledger = ? ORDER BY seq DESC",
            (device, upto, ledger),
        )

    def readings_before(self, device: bytes, time: int, limit: int) -> list[tuple[int, int]]:
        """(seq, time) of readings that start at `time` or before, latest start first."""
        return [(place.seq, place.time) for place in self.latest(device, 0, time, limit)]

    def newer_readings(self, device: bytes, seq: int) -> bool:
        """Does the chain hold readings after `seq`?"""
        after = self.places(device, seq + 1, limits.SEQ)
        return any(place.kind == Kind.READINGS.value for place in after)

    def find(self, record_id: bytes) -> tuple[bytes, int, str] | None:
        """Device, seq and result of the logged record with this id; looks through all records."""
        row = self._one("SELECT device, seq, result FROM evidence WHERE id = ?", record_id)
        if row is not None:
            return bytes(row[0]), int(row[1]), str(row[2])
        for device, place in self.places_starting(record_id[:START_BYTES]):
            if record.parse(self.raw(place.leaf)).id == record_id:
                return device, place.seq, Result.ADMITTED.value
        return None

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

    def put_devices(self, rows: Iterable[DeviceRow]) -> None:
        """Keep some devices' rows."""
        self._db.executemany(
            "INSERT INTO devices VALUES (?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET"
            " state = excluded.state, last_seen = excluded.last_seen",
            ((row.device, row.did, row.state, row.last_seen) for row in rows),
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
        row = self._one(
            "SELECT count(*) FROM evidence WHERE device = ? AND leaf >= ?", device, size
        )
        return self.count_from(device, size) + int(row[0])


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
