"""The index: where the record of a device and a seq lies in the log.

It follows from the leaves, and is as much of the truth as a transaction holds:

1. The newest leaves, fewer than `bounds.INDEX_TAIL`, are in no page. Who writes has them in memory,
   who reads looks through their rows.
2. When there are that many, all of them go into their devices' pages (see `places`) at once, in the
   transaction at hand. So a page is written once for many records, however many devices take turns,
   and the cost of a record does not grow with the log.
3. A chain's last page, which is the one that grows, lies in `ends` with those of all other chains, ten to a
   page of the database; the others lie in `pages`, by device, and are hardly ever touched again.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import Final, NamedTuple

from tallystick import limits
from tallystick.body import Kind
from tallystick_gateway import bounds
from tallystick_gateway.store.database import Database
from tallystick_gateway.store.places import (
    PLACES,
    Place,
    last_within,
    seqs_from,
    starting,
    unpack,
    with_places,
)

__all__ = ["Index"]

_TAIL = (
    "SELECT device, seq, idx, kind, time, start FROM leaves"
    " WHERE idx >= ? AND idx < ? AND kind IS NOT NULL"
)
_READINGS: Final = Kind.READINGS.value
_ONE_BY_ONE = 16  # devices for which a reader looks for each; then for all at once
_FROM_BELOW = (
    "SELECT page, places FROM all_pages WHERE device = ? AND low <= ? AND high >= ? ORDER BY page"
)
_FROM_ABOVE = _FROM_BELOW + " DESC"


class _Page(NamedTuple):
    """A row of `pages` or `ends`: `low` and `high` are the earliest and the latest time of its readings."""

    device: bytes
    page: int
    low: int | None = None
    high: int | None = None
    places: bytes = b""

    def with_places(self, fresh: list[Place]) -> _Page:
        low, high = self.low, self.high
        for place in fresh:
            if place.kind == _READINGS:
                low = place.time if low is None or place.time < low else low
                high = place.time if high is None or place.time > high else high
        return _Page(self.device, self.page, low, high, with_places(self.places, fresh))


class Index(Database):
    """Questions by device and seq, or by device and time."""

    def __init__(self, database: sqlite3.Connection, *, writes: bool = False) -> None:
        super().__init__(database, writes=writes)
        # of the leaves that are in no page: all of them for a writer, of one device for a reader
        self._tail: dict[bytes, dict[int, Place]] | None = None
        self._tail_size = -1  # leaves of the log when a reader looked
        self._tail_whole = False  # a reader has looked at all devices
        self._in_tail = 0  # leaves from the first that is in no page, for a writer

    # ---- what can be asked

    def place(self, device: bytes, seq: int) -> Place | None:
        """Where the chain's record `seq` is."""
        found = self._newest(device).get(seq)
        if found is not None:
            return found
        row = self._one(
            "SELECT places FROM all_pages WHERE device = ? AND page = ?", device, seq // PLACES
        )
        at = seq % PLACES * 16
        if row is None or len(row[0]) <= at:
            return None
        held = unpack(0, row[0][at : at + 16])
        return held[0]._replace(seq=seq) if held else None

    def places(self, device: bytes, first: int, last: int) -> Iterator[Place]:
        """The chain's records first..last, by seq."""
        newest = sorted(p for p in self._newest(device).values() if first <= p.seq <= last)
        pages = self._db.execute(
            "SELECT page, places FROM all_pages WHERE device = ? AND page BETWEEN ? AND ? ORDER BY page",
            (device, first // PLACES, last // PLACES),
        )
        paged = (
            p for number, page in pages for p in unpack(number, page) if first <= p.seq <= last
        )
        return _each_once(heapq.merge(paged, newest))

    def places_below(self, device: bytes, seq: int) -> Iterator[Place]:
        """The chain's records below `seq`, highest first."""
        newest = sorted((p for p in self._newest(device).values() if p.seq < seq), reverse=True)
        pages = self._db.execute(
            "SELECT page, places FROM all_pages WHERE device = ? AND page <= ? ORDER BY page DESC",
            (device, seq // PLACES),
        )
        paged = (p for number, page in pages for p in reversed(unpack(number, page)) if p.seq < seq)
        return _each_once(heapq.merge(paged, newest, reverse=True))

    def newest_within(self, device: bytes, size: int) -> int | None:
        """Highest seq of the device's chain whose leaf lies within the first `size`, if any."""
        newest = max((p.seq for p in self._newest(device).values() if p.leaf < size), default=-1)
        pages = self._db.execute(
            "SELECT page, places FROM all_pages WHERE device = ? AND page >= ? ORDER BY page DESC",
            (device, newest // PLACES),
        )
        found = (last_within(number, page, size) for number, page in pages)
        newest = max(newest, next((seq for seq in found if seq is not None), -1))
        return None if newest < 0 else newest

    def count_from(self, device: bytes, size: int) -> int:
        """Records of the device's chain whose leaf lies beyond the first `size`."""
        found = {p.seq for p in self._newest(device).values() if p.leaf >= size}
        for number, page in self._db.execute(
            "SELECT page, places FROM all_pages WHERE device = ?", (device,)
        ):
            found.update(seqs_from(number, page, size))
        return len(found)

    def latest(self, device: bytes, start: int, end: int, count: int) -> list[Place]:
        """The readings records that start from `start` to `end` (by the board's clock), the latest
        `count` of them, latest first.
        """
        found = [p for p in self._newest(device).values() if _within(p, start, end)]
        found.sort(key=_by_time, reverse=True)
        pages = self._db.execute(
            "SELECT page, places, high FROM all_pages WHERE device = ? AND low <= ? AND high >= ?"
            " ORDER BY min(high, ?) DESC",
            (device, end, start, end),
        )
        for number, page, high in pages:
            if len(found) >= count and found[count - 1].time > min(high, end):
                break
            found += (p for p in unpack(number, page) if _within(p, start, end))
            found = list(_each_once(sorted(found, key=_by_time, reverse=True)))[:count]
        return found[:count]

    def seqs_between(self, device: bytes, start: int, end: int) -> tuple[int, int] | None:
        """The lowest and the highest seq of the readings records that start from `start` to `end`;
        None if there are none.
        """
        seqs = [p.seq for p in self._newest(device).values() if _within(p, start, end)]
        for pages in (_FROM_BELOW, _FROM_ABOVE):
            for number, page in self._db.execute(pages, (device, end, start)):
                here = [p.seq for p in unpack(number, page) if _within(p, start, end)]
                if here:
                    seqs += here
                    break
        return (min(seqs), max(seqs)) if seqs else None

    def places_starting(self, start: bytes) -> Iterator[tuple[bytes, Place]]:
        """(device, place) of the records whose id begins with `start`, 3 bytes; looks through all."""
        tail = self._db.execute(
            f"{_TAIL} AND start = ?",
            (self._indexed(), limits.TREE_SIZE, int.from_bytes(start, "big")),
        ).fetchall()
        for device, *place in tail:
            yield device, Place(*place)
        for device, number, page in self._db.execute("SELECT device, page, places FROM all_pages"):
            for one in starting(number, page, start):
                yield device, one

    def expect(self, devices: Collection[bytes]) -> None:
        """A reader is about to ask for these devices: one look through the newest leaves for all."""
        if self._writes:
            return
        size, marks = self._leaf_count(), ", ".join("?" * len(devices))
        tail: dict[bytes, dict[int, Place]] = {device: {} for device in devices}
        for device, *place in self._db.execute(
            f"{_TAIL} AND device IN ({marks})", (self._indexed(), limits.TREE_SIZE, *devices)
        ):
            tail[device][place[0]] = Place(*place)
        self._tail, self._tail_size, self._tail_whole = tail, size, False

    # ---- the newest leaves

    def _enter(self, device: bytes, place: Place) -> None:
        """Take in the leaf that was just added."""
        newest = self._all_newest().setdefault(device, {})
        if newest.setdefault(place.seq, place) is not place:
            # the chain's rules keep it from ever coming to this
            raise sqlite3.IntegrityError(f"two records {place.seq} of device {device.hex()}")

    def _newest(self, device: bytes) -> dict[int, Place]:
        """By seq, the device's records that may be in no page. It is asked before the pages: what
        goes from here to there meanwhile is seen twice and never missed.
        """
        if self._writes:
            return self._all_newest().get(device, {})
        size = self._leaf_count()
        if self._tail is None or self._tail_size != size:
            self._tail, self._tail_size, self._tail_whole = {}, size, False
        if device not in self._tail and not self._tail_whole:
            if len(self._tail) < _ONE_BY_ONE:
                rows = self._db.execute(
                    f"{_TAIL} AND device = ?", (self._indexed(), limits.TREE_SIZE, device)
                )
                self._tail[device] = {seq: Place(seq, *rest) for _, seq, *rest in rows}
            else:
                self._tail, self._tail_whole = self._rows(self._indexed(), limits.TREE_SIZE), True
        return self._tail.get(device, {})

    def _all_newest(self) -> dict[bytes, dict[int, Place]]:
        if self._tail is None:
            first, size = self._indexed(), self._leaf_count()
            self._tail, self._in_tail = self._rows(first, size), size - first
        return self._tail

    def _rows(self, first: int, end: int) -> dict[bytes, dict[int, Place]]:
        tail: dict[bytes, dict[int, Place]] = {}
        for device, *place in self._db.execute(_TAIL, (first, end)):
            tail.setdefault(device, {})[place[0]] = Place(*place)
        return tail

    def _forget_newest(self) -> None:
        """They are read again when somebody asks."""
        self._tail = None

    def _leaf_count(self) -> int:
        return int(self._one("SELECT coalesce(max(idx) + 1, 0) FROM leaves")[0])

    # ---- the pages

    def index_all(self) -> None:
        """Bring the pages near the end of the log; only a database of an older version needs it."""
        size = self._leaf_count()
        while size - self._indexed() >= bounds.INDEX_TAIL:
            with self.transaction():
                first = self._indexed()
                end = min(size, first + bounds.INDEX_TAIL)
                self._into_pages(self._rows(first, end), end)

    def _merge(self, size: int) -> None:
        """Put the newest leaves into their pages if they are enough; `size` is that of the log."""
        if self._in_tail < bounds.INDEX_TAIL:
            return
        self._into_pages(self._all_newest(), size)
        self._tail, self._in_tail = {}, 0

    def _into_pages(self, tail: dict[bytes, dict[int, Place]], size: int) -> None:
        ends: list[_Page] = []
        pages: list[_Page] = []
        for device in sorted(tail):  # as the rows lie
            end = self._page("SELECT * FROM ends WHERE device = ?", device)
            for number, group in groupby(sorted(tail[device].values()), lambda p: p.seq // PLACES):
                fresh = list(group)
                if end is not None and number < end.page:  # it came late
                    late = self._page(
                        "SELECT * FROM pages WHERE device = ? AND page = ?", device, number
                    )
                    pages.append((late or _Page(device, number)).with_places(fresh))
                    continue
                if end is not None and number > end.page:
                    pages.append(end)
                    end = None
                end = (end or _Page(device, number)).with_places(fresh)
            if end is not None:
                ends.append(end)
        self._db.executemany("INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?)", pages)
        self._db.executemany("INSERT OR REPLACE INTO ends VALUES (?, ?, ?, ?, ?)", ends)
        self._db.execute("INSERT OR REPLACE INTO facts VALUES ('indexed', ?)", (str(size),))

    def _page(self, sql: str, *values: object) -> _Page | None:
        row = self._one(sql, *values)
        return None if row is None else _Page(*row)

    def _indexed(self) -> int:
        """The first leaf that is in no page."""
        row = self._one("SELECT value FROM facts WHERE name = 'indexed'")
        return 0 if row is None else int(row[0])


def _within(place: Place, start: int, end: int) -> bool:
    return place.kind == _READINGS and start <= place.time <= end


def _by_time(place: Place) -> tuple[int, int]:
    return place.time, place.seq


def _each_once(places: Iterable[Place]) -> Iterator[Place]:
    before: Place | None = None
    for place in places:
        if place != before:
            yield place
        before = place
