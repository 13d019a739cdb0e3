"""What people look at: read-only questions to the database, each answered within bounds.

The chain's own state says what is missing, forked or given up; anchored is what lies below the
largest confirmed anchor. Nothing here is evidence: the proof file is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from itertools import islice, takewhile
from pathlib import Path
from typing import Final

import structlog

from tallystick import limits, milestone, record, senml
from tallystick.body import Event, Kind, Open, Readings, Rotate
from tallystick.chain import Chain, Outline, Result
from tallystick.errors import TallystickError
from tallystick.record import Record
from tallystick.senml import Measurement
from tallystick_gateway.rows import DeviceRow
from tallystick_gateway.store import DeviceLinks, Store
from tallystick_gateway.store.places import Place

__all__ = [
    "AnchorView",
    "DeviceView",
    "RecordView",
    "Views",
    "saying",
    "summary",
    "text_of",
]

log = structlog.get_logger()

_MARKS: Final = (Kind.OPEN.value, Kind.EVENT.value, Kind.ROTATE.value)


@dataclass(frozen=True)
class DeviceView:
    """A device at a glance. `state` is `forked`, `gap`, `ok`, or `silent` before its first record;
    `pending` counts records that no confirmed anchor covers.
    """

    device: bytes
    state: str
    last_seen: int | None = None
    head: int | None = None
    missing: tuple[range, ...] = ()
    forked_from: int | None = None
    anchored: int | None = None

    @property
    def pending(self) -> int:
        """Records above the newest anchored one."""
        if self.head is None:
            return 0
        return self.head - (-1 if self.anchored is None else self.anchored)


@dataclass(frozen=True)
class RecordView:
    """A record of a chain: `trusted` unless a fork of its key lies at its seq or below."""

    record: Record
    leaf: int
    anchored: bool
    trusted: bool
    opened: Open | None  # of readings: the `open` in force, if it is there

    @property
    def measurements(self) -> list[Measurement]:
        """The readings; none if the record holds none or misses its `open`."""
        if self.opened is None:
            return []
        try:
            return list(senml.measurements(self.opened, self.record))
        except TallystickError:  # columns that do not fit the channels: nobody knows what they mean
            return []


@dataclass(frozen=True)
class AnchorView:
    """An anchor: when it was built, how much it covers, and what the ledger said."""

    id: bytes
    size: int
    built: int
    state: str
    detail: str
    milestone: int | None
    milestone_time: int | None


class Views(Store):
    """A store with the questions of the page; `Views.read` opens one."""

    @classmethod
    def read(cls, path: Path) -> Views:
        """The database at `path`; `FolderError` if there is none."""
        return super().read(path)

    # ---- devices

    def chain(self, device: bytes) -> Chain | None:
        """The device's chain as it stands, None before its first record."""
        row = self.device(device)
        if row is None or row.state is None:
            return None
        return Chain.load(row.state, DeviceLinks(self, device))

    def standing(self, row: DeviceRow, anchored: int) -> DeviceView:
        """What the row says, and how much of it is anchored; `anchored` is `anchored_size()`."""
        view = self.glance(row)
        if view.head is None:
            return view
        return replace(view, anchored=self.newest_within(row.device, anchored))

    def glance(self, row: DeviceRow) -> DeviceView:
        """What the row alone says; nothing is asked of the database."""
        if row.state is None:
            return DeviceView(row.device, "silent", row.last_seen)
        head, missing, forked = summary(row.state)
        state = "ok"
        if missing:
            state = "gap"
        if forked is not None:
            state = "forked"
        return DeviceView(row.device, state, row.last_seen, head, missing, forked)

    # ---- records

    def newest_records(
        self, device: bytes, count: int, *, before: int | None = None
    ) -> list[RecordView]:
        """The newest records of a chain, those below `before`, newest first."""
        below = self.places_below(device, limits.SEQ + 1 if before is None else before)
        return self._views(device, list(islice(below, count)))

    def readings(
        self, device: bytes, start: int, end: int, count: int
    ) -> tuple[list[RecordView], bool]:
        """The readings records that start within start..end, in order of seq, and whether there
        were more than the newest `count`.
        """
        places = self.latest(device, start, end, count + 1)
        return self._views(device, sorted(places[:count])), len(places) > count

    def marks(self, device: bytes, first: int, last: int, count: int) -> list[Record]:
        """The opens, events and rotations with seq first..last, newest `count` of them, in order."""
        below = takewhile(lambda place: place.seq >= first, self.places_below(device, last + 1))
        marks = islice((place for place in below if place.kind in _MARKS), count)
        return [record.parse(self.raw(place.leaf)) for place in marks][::-1]

    def since(self, leaf: int, count: int) -> list[tuple[int, bytes, Record | None, bool]]:
        """(leaf, device, record, admitted) from this leaf on, in the order of the log; no record where the
        disk has changed it.
        """
        rows = self._db.execute(
            "SELECT idx, device, result, raw FROM leaves WHERE idx >= ? ORDER BY idx LIMIT ?",
            (leaf, count),
        )
        return [
            (int(idx), bytes(device), _intact(raw), result == Result.ADMITTED)
            for idx, device, result, raw in rows
        ]

    def open_of(self, device: bytes, seq: int) -> Open | None:
        """The `open` at this seq of the device's chain."""
        return self._open(device, seq)

    def newest_open(self, device: bytes, chain: Chain) -> Open | None:
        """The `open` that the newest trusted readings name, or that starts the chain."""
        newest = self.latest(device, 0, limits.TIME, 8)
        bodies = [record.parse(self.raw(place.leaf)).body for place in newest]
        boots = [body.boot for body in bodies if isinstance(body, Readings)]
        for boot in dict.fromkeys([*boots, 0]):
            held = self.rows(device, boot, boot, 1)
            if held:
                parsed = record.parse(held[0][2])
                if isinstance(parsed.body, Open) and chain.fork_of(parsed) is None:
                    return parsed.body
        return None

    def newest_time(self, device: bytes) -> int | None:
        """When the device's newest readings were taken, Unix seconds by its own clock."""
        newest = self.latest(device, record.CLOCK_UNSET_BELOW, limits.TIME, 1)
        return newest[0].time if newest else None

    def _views(self, device: bytes, places: Sequence[Place]) -> list[RecordView]:
        chain = self.chain(device)
        anchored = self.anchored_size()
        opens: dict[int, Open | None] = {}
        views = []
        for place in places:
            parsed = record.parse(self.raw(place.leaf))
            opened = None
            if isinstance(parsed.body, Readings):
                boot = parsed.body.boot
                if boot not in opens:
                    opens[boot] = self._open(device, boot)
                opened = opens[boot]
            trusted = chain is not None and chain.fork_of(parsed) is None
            views.append(RecordView(parsed, place.leaf, place.leaf < anchored, trusted, opened))
        return views

    def _open(self, device: bytes, seq: int) -> Open | None:
        rows = self.rows(device, seq, seq, 1)
        body = record.parse(rows[0][2]).body if rows else None
        return body if isinstance(body, Open) else None

    # ---- the log

    def growth(self, origin: str) -> list[tuple[int, int]]:
        """(Unix seconds, leaves) of the checkpoints that are kept and of all anchors, in order."""
        rows = self._db.execute(
            "SELECT at, size FROM checkpoints WHERE origin = ?1 UNION"
            " SELECT built, size FROM anchors WHERE origin = ?1 ORDER BY 1, 2",
            (origin,),
        )
        return [(int(at), int(size)) for at, size in rows]

    def confirmations(self, origin: str) -> list[tuple[int, int]]:
        """(Unix seconds of the milestone, leaves) of the confirmed anchors, newest 1,000, in order."""
        rows = self._db.execute(
            "SELECT id, size, built, state, detail, confirmed FROM anchors"
            " WHERE origin = ? AND state = 'confirmed' ORDER BY size DESC LIMIT 1000",
            (origin,),
        )
        views = [_anchor(row) for row in rows]
        return sorted((v.milestone_time, v.size) for v in views if v.milestone_time is not None)

    def newest_anchors(self, count: int) -> list[AnchorView]:
        """The anchors built last, newest first."""
        rows = self._db.execute(
            "SELECT id, size, built, state, detail, confirmed FROM anchors"
            " ORDER BY built DESC, size DESC LIMIT ?",
            (count,),
        )
        return [_anchor(row) for row in rows]

    def newest_confirmed(self) -> AnchorView | None:
        """The confirmed anchor that covers most."""
        row = self._one(
            "SELECT id, size, built, state, detail, confirmed FROM anchors"
            " WHERE state = 'confirmed' ORDER BY size DESC LIMIT 1"
        )
        return None if row is None else _anchor(row)

    def quarantine_codes(self) -> dict[str, int]:
        """How many of the refused messages that are kept have which code."""
        rows = self._db.execute("SELECT code, count(*) FROM quarantine GROUP BY code")
        return {str(code): int(count) for code, count in rows}


def _intact(raw: bytes) -> Record | None:
    try:
        return record.parse(raw)
    except TallystickError as error:
        log.error("a stored record is damaged", reason=str(error))
        return None


def _anchor(row: tuple[bytes, int, int, str, str, bytes | None]) -> AnchorView:
    block, size, built, state, detail, confirmed = row
    number = at = None
    if confirmed is not None:
        number, at = _milestone(confirmed)
    return AnchorView(block, size, built, state, detail, number, at)


@lru_cache(maxsize=2_048)
def _milestone(confirmed: bytes) -> tuple[int, int]:
    """Index and time of the milestone that confirms an anchor; they never change."""
    parsed = milestone.parse_confirmed(confirmed).milestone
    return parsed.index, parsed.time


@lru_cache(maxsize=16_384)
def summary(state: bytes) -> Outline:
    """Head, missing, and the lowest fork of the key in force, of a chain's stored state."""
    return Chain.outline(state)


def text_of(value: Decimal | float | str | bool | bytes | None) -> str:
    """A value as people write it."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def saying(one: Record) -> str:
    """What a record that holds no readings says, in a few words."""
    body = one.body
    if isinstance(body, Open):
        return f"start {body.boots}, agent {body.version}"
    if isinstance(body, Rotate):
        return f"new key {body.key.kid.hex()}"
    if isinstance(body, Event):
        return _EVENTS.get(body.code, f"event {body.code}")
    return "beacon" if one.kind is Kind.BEACON else ""


_EVENTS = {
    0: "clock set",
    1: "records lost",
    2: "records pruned",
    3: "chain adopted",
    4: "configuration changed",
    5: "sensor state changed",
    6: "agent updated",
    7: "tamper contact",
}
