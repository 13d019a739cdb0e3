"""The geometry of a plot: from series to what a template writes down as SVG.

Drawn on the server, so that the page needs no chart library, no build and no script, prints, and is
tested like any other function (docs/adr/0025). Units are those of the SVG's own view box; a plot is
made once for a wide screen and once for a narrow one, because text in an SVG shrinks with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

__all__ = [
    "MEDIUM",
    "NARROW",
    "SPARK",
    "WIDE",
    "Band",
    "Mark",
    "Plot",
    "Point",
    "Size",
    "draw",
    "spark",
    "steps",
]

_STEPS_S: Final = (
    *(1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600),
    *(86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400, 30 * 86_400, 90 * 86_400, 365 * 86_400),
)
_LEAST_BAND: Final = 2.0  # narrower ones would not be seen
_SINGLE_POINTS: Final = 80  # up to so many, every reading is a dot


@dataclass(frozen=True)
class Size:
    """A view box with its margins, and about how many labels go on each axis."""

    name: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    across: int
    up: int

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height of the field that is drawn in."""
        return self.width - self.left - self.right, self.height - self.top - self.bottom


WIDE: Final = Size("wide", 1000, 220, 52, 12, 20, 24, 7, 4)
MEDIUM: Final = Size("medium", 640, 250, 52, 14, 20, 24, 5, 5)
NARROW: Final = Size("narrow", 380, 220, 44, 8, 20, 24, 4, 4)
SPARK: Final = Size("spark", 240, 48, 2, 4, 4, 4, 0, 0)


@dataclass(frozen=True)
class Point:
    """One value; `kind` is `anchored`, `pending` or `untrusted`; `joined` to the one before."""

    x: float
    y: float
    kind: str
    joined: bool = True


@dataclass(frozen=True)
class Band:
    """A stretch of the x axis: a `gap`, what is `pending`, what is `untrusted`."""

    start: float
    end: float
    kind: str
    text: str


@dataclass(frozen=True)
class Mark:
    """A moment: `reboot`, `fork`, `rotate`, `event`."""

    x: float
    kind: str
    text: str


@dataclass(frozen=True)
class Line:
    """A path of one kind."""

    kind: str
    path: str


@dataclass(frozen=True)
class Box:
    """A band as it is drawn."""

    x: float
    width: float
    kind: str
    text: str


@dataclass(frozen=True)
class Plot:
    """All that a template needs."""

    size: Size
    lines: list[Line] = field(default_factory=list)
    dots: list[tuple[float, float, str]] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    across: list[tuple[float, str]] = field(default_factory=list)
    up: list[tuple[float, str]] = field(default_factory=list)


def draw(
    size: Size,
    points: Sequence[Point],
    span: tuple[float, float],
    *,
    bands: Sequence[Band] = (),
    marks: Sequence[Mark] = (),
    whole: bool = False,
) -> Plot:
    """Values over time, Unix seconds within `span`. `whole`: they count from 0, and the area under
    them is filled.
    """
    low, high = _range([point.y for point in points], whole)
    place = _Placing(size, span, (low, high))
    paths, dots = _paths(points, place)
    return Plot(
        size,
        [*(_filled(line, place.y(0)) for line in paths if whole), *paths],
        [] if whole else dots,
        [_box(band, place) for band in bands],
        [Mark(place.x(mark.x), mark.kind, mark.text) for mark in marks],
        [(place.x(at), text) for at, text in _times(*span, size.across)],
        [(place.y(value), text) for value, text in _values(low, high, size.up)],
    )


def spark(values: Sequence[Point]) -> Plot:
    """A small line without axes."""
    if not values:
        return Plot(SPARK)
    xs = [point.x for point in values]
    low, high = _range([point.y for point in values], False)
    place = _Placing(SPARK, (xs[0], max(xs[-1], xs[0] + 1)), (low, high))
    lines, _ = _paths(values, place)
    last = values[-1]
    return Plot(SPARK, lines, [(place.x(last.x), place.y(last.y), last.kind)])


def steps(points: Sequence[Point]) -> list[Point]:
    """The same values as a staircase: a size stays what it is until it grows."""
    out: list[Point] = []
    for point in points:
        if out and point.joined:
            out.append(Point(point.x, out[-1].y, point.kind))
        out.append(point)
    return out


class _Placing:
    """Where values stand in the view box."""

    def __init__(self, size: Size, across: tuple[float, float], up: tuple[float, float]) -> None:
        self._size, self._across, self._up = size, across, up

    def x(self, value: float) -> float:
        """Held within the field."""
        start, end = self._across
        part = min(1.0, max(0.0, (value - start) / ((end - start) or 1)))
        return round(self._size.left + part * self._size.inner[0], 1)

    def y(self, value: float) -> float:
        """Upwards."""
        low, high = self._up
        part = (value - low) / ((high - low) or 1)
        return round(self._size.height - self._size.bottom - part * self._size.inner[1], 1)


def _paths(
    points: Sequence[Point], place: _Placing
) -> tuple[list[Line], list[tuple[float, float, str]]]:
    """A path for each stretch of one kind; the stretches touch where the line goes on."""
    lines: list[Line] = []
    dots: list[tuple[float, float, str]] = []
    few = len(points) <= _SINGLE_POINTS
    before: Point | None = None
    path: list[str] = []
    kind = ""
    for point in points:
        x, y = place.x(point.x), place.y(point.y)
        joined = point.joined and before is not None
        if not joined or point.kind != kind:
            if path:
                lines.append(Line(kind, "".join(path)))
            start = f"M{place.x(before.x)} {place.y(before.y)}" if joined and before else ""
            path, kind = ([start, f"L{x} {y}"] if start else [f"M{x} {y}"]), point.kind
        else:
            path.append(f"L{x} {y}")
        if few or not joined:
            dots.append((x, y, point.kind))
        before = point
    if path:
        lines.append(Line(kind, "".join(path)))
    return [line for line in lines if "L" in line.path], dots


def _filled(line: Line, base: float) -> Line:
    """The area between a path and the line of zero."""
    start, end = line.path[1:].split("L", 1)[0], line.path.rsplit("L", 1)[1]
    return Line(
        f"{line.kind} area", f"{line.path}L{end.split()[0]} {base}L{start.split()[0]} {base}Z"
    )


def _box(band: Band, place: _Placing) -> Box:
    start, end = place.x(band.start), place.x(band.end)
    width = max(_LEAST_BAND, end - start)
    return Box(round(start, 1), round(width, 1), band.kind, band.text)


def _range(values: Sequence[float], whole: bool) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = (0.0 if whole else min(values)), max(values)
    if high == low:
        room = abs(high) * 0.05 or 1.0
        return (low if whole else low - room), high + room
    room = (high - low) * 0.08
    return (low if whole else low - room), high + room


def _values(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Round numbers within low..high."""
    raw = (high - low) / max(1, count)
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= raw)
    digits = max(0, -math.floor(math.log10(step) + 1e-9) + (1 if step / size == 2.5 else 0))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [(n * step, _short(n * step, digits)) for n in range(first, last + 1)]


def _short(value: float, digits: int) -> str:
    if abs(value) >= 1e6:
        return f"{value:.3g}"
    return f"{value:,.{digits}f}".replace(",", " ").replace("-", "−")


def _times(start: float, end: float, count: int) -> list[tuple[float, str]]:
    """Round moments within start..end (UTC)."""
    raw = (end - start) / max(1, count)
    step = next((s for s in _STEPS_S if s >= raw), _STEPS_S[-1])
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%d %b"
    days = (end - start) > 86_400 and step < 86_400
    at = math.ceil(start / step) * step
    found: list[tuple[float, str]] = []
    while at <= end:
        moment = datetime.fromtimestamp(at, UTC)
        midnight = days and not (moment.hour or moment.minute)
        found.append((at, moment.strftime("%d %b" if midnight else form)))
        at += step
    return found
