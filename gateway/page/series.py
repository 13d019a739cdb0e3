"""From the records of one device to what a plot shows: values, gaps, reboots, forks, and what is
anchored."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from tallystick.body import Kind
from tallystick.chain import Chain
from tallystick.record import Record
from tallystick_gateway.page.plot import Band, Mark, Point
from tallystick_gateway.views import RecordView, saying, text_of

__all__ = ["Channel", "Shown", "collect", "thinned"]

_SILENCE: Final = 6  # times the usual step: there the line is not drawn on
_POINTS: Final = 1_200  # of one channel, in one plot


@dataclass
class Channel:
    """One channel of a device in the window."""

    name: str
    unit: str
    points: list[Point] = field(default_factory=list)

    @property
    def newest(self) -> float | None:
        """The last value."""
        return self.points[-1].y if self.points else None


@dataclass
class Shown:
    """What a window holds. `untimed` counts readings from before the board's clock was set."""

    channels: list[Channel]
    bands: list[Band]
    marks: list[Mark]
    untimed: int


def collect(
    views: Sequence[RecordView], marks: Sequence[Record], chain: Chain, end: float
) -> Shown:
    """`views` are readings in order of seq, `marks` the other records among them."""
    channels: dict[tuple[str, str], Channel] = {}
    untimed = 0
    spans: list[tuple[RecordView, float, float]] = []
    holes = [*chain.missing, *chain.given_up]
    for view in views:
        timed = [one for one in view.measurements if one.time is not None]
        untimed += len(view.measurements) - len(timed)
        if not timed:
            continue
        times = [float(one.time or 0) for one in timed]
        broken = bool(spans) and _holes(holes, spans[-1][0].record.seq, view.record.seq) > 0
        first: set[str] = set()
        for one, at in zip(timed, times, strict=True):
            channel = channels.setdefault(
                (one.name, one.unit or ""), Channel(one.name, one.unit or "")
            )
            joined = not (broken and one.name not in first)
            first.add(one.name)
            channel.points.append(Point(at, float(text_of(one.value)), _kind(view), joined))
        spans.append((view, min(times), max(times)))
    for channel in channels.values():
        channel.points = thinned(_with_silence(channel.points))
    return Shown(
        list(channels.values()),
        [*_gaps(spans, holes), *_trust(spans, end)],
        _moments(marks, spans, chain),
        untimed,
    )


def thinned(points: list[Point]) -> list[Point]:
    """At most about `_POINTS`: of each stretch its lowest and highest, so that no peak is lost."""
    if len(points) <= _POINTS:
        return points
    width = -(-2 * len(points) // _POINTS)
    kept: list[Point] = []
    for start in range(0, len(points), width):
        part = points[start : start + width]
        joined = all(point.joined for point in part[1:])
        if not joined or len({point.kind for point in part}) > 1:
            kept += part  # where something begins or ends, every point counts
            continue
        low = min(range(len(part)), key=lambda i: part[i].y)
        high = max(range(len(part)), key=lambda i: part[i].y)
        ends = sorted({low, high})
        head = part[ends[0]]
        kept.append(Point(head.x, head.y, head.kind, part[0].joined))
        kept += [part[i] for i in ends[1:]]
    return kept


def _kind(view: RecordView) -> str:
    if not view.trusted:
        return "untrusted"
    return "anchored" if view.anchored else "pending"


def _holes(holes: Sequence[range], after: int, before: int) -> int:
    """How many seqs between two records are missing or given up."""
    return sum(max(0, min(h.stop, before) - max(h.start, after + 1)) for h in holes)


def _with_silence(points: list[Point]) -> list[Point]:
    """Break the line where the board said nothing for long."""
    points.sort(key=lambda point: point.x)
    between = [b.x - a.x for a, b in itertools.pairwise(points) if b.x > a.x]
    if len(between) < 4:
        return points
    longest = _SILENCE * median(between)
    out = points[:1]
    for a, b in itertools.pairwise(points):
        out.append(Point(b.x, b.y, b.kind, b.joined and b.x - a.x <= longest))
    return out


def _gaps(spans: Sequence[tuple[RecordView, float, float]], holes: Sequence[range]) -> list[Band]:
    bands = []
    for (a, _, end), (b, start, _) in itertools.pairwise(spans):
        lost = _holes(holes, a.record.seq, b.record.seq)
        if lost:
            what = "record" if lost == 1 else "records"
            bands.append(Band(end, max(end, start), "gap", f"{lost} {what} missing"))
    return bands


def _trust(spans: Sequence[tuple[RecordView, float, float]], end: float) -> list[Band]:
    """From the first record of a kind to the next that is of another."""
    bands: list[Band] = []
    texts = {"pending": "not anchored yet", "untrusted": "untrusted: the chain is forked"}
    for index, (view, first, last) in enumerate(spans):
        kind = _kind(view)
        if kind == "anchored":
            continue
        until = spans[index + 1][1] if index + 1 < len(spans) else max(last, end)
        if bands and bands[-1].kind == kind and bands[-1].end >= first:
            bands[-1] = Band(bands[-1].start, max(until, bands[-1].end), kind, texts[kind])
        else:
            bands.append(Band(first, until, kind, texts[kind]))
    return bands


def _moments(
    marks: Sequence[Record], spans: Sequence[tuple[RecordView, float, float]], chain: Chain
) -> list[Mark]:
    found = []
    for one in marks:
        at = float(one.time) if one.clock_set else _time_of(one.seq, spans)
        if at is None:
            continue
        kind = {Kind.OPEN: "reboot", Kind.ROTATE: "rotate"}.get(one.kind, "event")
        found.append(Mark(at, kind, f"{saying(one)}, seq {one.seq}"))
    for fork in chain.forks:
        at = _time_of(fork.seq, spans)
        if at is not None:
            found.append(Mark(at, "fork", f"fork at seq {fork.seq}: two records, one key"))
    return found


def _time_of(seq: int, spans: Sequence[tuple[RecordView, float, float]]) -> float | None:
    """The time of the first readings at `seq` or later; nothing if the window does not reach it."""
    if not spans or seq < spans[0][0].record.seq:
        return None
    return next((start for view, start, _ in spans if view.record.seq >= seq), None)
