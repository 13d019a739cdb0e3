"""The timeline: each channel over the board's own clock, behind it what is anchored, pending or missing, across it
restarts, rotations and bad records.

Coordinates run from 0 to 1000 in x and from 0 to 100 in y (down); the page stretches them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tallystick.body import Event, Kind, Open, Readings
from tallystick.proof import Proof
from tallystick.record import Record
from tallystick.verdict import Status, Verdict
from tallystick_host.words import rfc3339, rfc3339_ms, scaled

__all__ = ["Chart", "chart"]

CHANNELS: Final = 4
POINTS: Final = 400  # of one line; more are drawn as the lowest and highest of a bucket
_MARGIN: Final = 8.0


@dataclass(frozen=True)
class Line:
    """One channel: its name with unit, the lowest and highest value in words, and the pieces of its line. A piece is
    the points of an SVG polyline.
    """

    name: str
    lowest: str
    highest: str
    pieces: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Band:
    """A stretch of time: `look` is anchored, pending, gap or bad."""

    x: float
    width: float
    look: str
    words: str


@dataclass(frozen=True)
class Moment:
    """Something at one moment: `look` is open, rotate, event, bad."""

    x: float
    look: str
    words: str


@dataclass(frozen=True)
class Chart:
    """All that is drawn; `left` of the channels are not, `unset` readings have no time."""

    lines: tuple[Line, ...]
    bands: tuple[Band, ...]
    moments: tuple[Moment, ...]
    first: str
    middle: str
    last: str
    left: int
    unset: int


@dataclass(frozen=True)
class _Sample:
    time_ms: int
    value: int
    after_gap: bool


class _Scale:
    def __init__(self, start: int, end: int) -> None:
        self.start, self.width = start, max(end - start, 1)

    def x(self, time_ms: int) -> float:
        place = (time_ms - self.start) / self.width * 1000
        return round(min(max(place, 0.0), 1000.0), 1)


def chart(proof: Proof, verdict: Verdict, bad: set[int]) -> Chart | None:
    """The timeline of a proof; None if nothing in it has a time."""
    walk = sorted((*proof.links, *proof.records), key=lambda one: one.seq)
    timed = [one for one in walk if one.clock_set]
    if not timed:
        return None
    opens = {one.seq: one.body for one in (*proof.opens, *walk) if isinstance(one.body, Open)}
    readings = [one for one in timed if isinstance(one.body, Readings)]
    start = min(one.time for one in timed) * 1000
    end = max(_end_ms(one, opens) for one in timed)
    scale = _Scale(start, end)
    channels = _samples(readings, opens, bad)
    names = [name for name, samples in channels.items() if samples]
    return Chart(
        tuple(_line(name, channels[name], scale) for name in names[:CHANNELS]),
        tuple(_bands(timed, opens, verdict, bad, scale)),
        tuple(_moments(timed, bad, scale)),
        rfc3339_ms(start),
        rfc3339_ms((start + end) // 2000 * 1000),
        rfc3339_ms(end),
        len(names[CHANNELS:]),
        sum(one.body.count for one in walk if isinstance(one.body, Readings) and not one.clock_set),
    )


def _tick_ms(one: Record, opens: dict[int, Open]) -> int:
    opened = opens.get(one.body.boot) if isinstance(one.body, Readings) else None
    return 0 if opened is None else opened.tick_ms


def _times(one: Record, body: Readings, opens: dict[int, Open]) -> list[int]:
    """Unix milliseconds of each reading."""
    steps = [body.interval] * (body.count - 1) if isinstance(body.interval, int) else body.interval
    tick, times = _tick_ms(one, opens), [one.time * 1000]
    for step in steps:
        times.append(times[-1] + step * tick)
    return times


def _end_ms(one: Record, opens: dict[int, Open]) -> int:
    return _times(one, one.body, opens)[-1] if isinstance(one.body, Readings) else one.time * 1000


def _samples(
    readings: Iterable[Record], opens: dict[int, Open], bad: set[int]
) -> dict[tuple[str, int], list[_Sample]]:
    """The values of each channel, named with its unit and exponent, in order. What is bad is left out."""
    found: dict[tuple[str, int], list[_Sample]] = {}
    before = -2
    for one in readings:
        body = one.body
        if not isinstance(body, Readings) or one.seq in bad:
            continue
        opened = opens.get(body.boot)
        if opened is None or len(opened.channels) != len(body.columns):
            continue
        times = _times(one, body, opens)
        # a beacon or an event between two records is no gap in the line
        after_gap = one.seq > before + 3
        before = one.seq
        for channel, column in zip(opened.channels, body.columns, strict=True):
            name = f"{channel.name} ({channel.unit})" if channel.unit else channel.name
            line = found.setdefault((name, channel.exponent), [])
            torn = after_gap
            for time_ms, value in zip(times, column, strict=True):
                if value is None:
                    torn = True
                else:
                    line.append(_Sample(time_ms, value, torn))
                    torn = False
    return found


def _line(name: tuple[str, int], samples: Sequence[_Sample], scale: _Scale) -> Line:
    low, high = min(one.value for one in samples), max(one.value for one in samples)
    height = max(high - low, 1)

    def y(value: int) -> float:
        return round(100 - _MARGIN - (value - low) / height * (100 - 2 * _MARGIN), 1)

    pieces: list[list[tuple[float, float]]] = []
    for one in _thinned(samples):
        if one.after_gap or not pieces:
            pieces.append([])
        pieces[-1].append((scale.x(one.time_ms), y(one.value)))
    return Line(
        name[0],
        scaled(low, name[1]),
        scaled(high, name[1]),
        tuple(" ".join(f"{x},{at}" for x, at in piece) for piece in pieces if len(piece) > 1),
        tuple(piece[0] for piece in pieces if len(piece) == 1),
    )


def _thinned(samples: Sequence[_Sample]) -> Iterator[_Sample]:
    """All, or the lowest and the highest of each bucket: no peak is lost in a picture."""
    if len(samples) <= POINTS:
        yield from samples
        return
    size = -(-len(samples) // (POINTS // 2))
    for start in range(0, len(samples), size):
        bucket = samples[start : start + size]
        torn = any(one.after_gap for one in bucket)
        pair = {min(bucket, key=lambda one: one.value), max(bucket, key=lambda one: one.value)}
        for number, one in enumerate(sorted(pair, key=lambda one: one.time_ms)):
            yield _Sample(one.time_ms, one.value, torn and number == 0)


def _bands(
    timed: Sequence[Record],
    opens: dict[int, Open],
    verdict: Verdict,
    bad: set[int],
    scale: _Scale,
) -> Iterator[Band]:
    anchored = verdict.not_after is not None
    look = "anchored" if anchored else "pending"
    if verdict.status is Status.TAMPERED:
        look = "unproven"
    start, end = scale.x(timed[0].time * 1000), scale.x(_end_ms(timed[-1], opens))
    yield Band(start, max(end - start, 1.0), look, look)
    for before, after in itertools.pairwise(timed):
        if after.seq > before.seq + 1:
            left, right = scale.x(_end_ms(before, opens)), scale.x(after.time * 1000)
            words = f"seq {before.seq + 1}..{after.seq - 1} missing"
            yield Band(left, max(right - left, 2.0), "gap", words)
    for one in timed:
        if one.seq in bad:
            left, right = scale.x(one.time * 1000), scale.x(_end_ms(one, opens))
            yield Band(left, max(right - left, 3.0), "bad", f"seq {one.seq}: bad record")


def _moments(timed: Sequence[Record], bad: set[int], scale: _Scale) -> Iterator[Moment]:
    names = {Kind.OPEN: "restart", Kind.ROTATE: "new key", Kind.EVENT: "event"}
    for one in timed:
        # an event that gives seqs up stands where the gap is drawn already
        drawn = one.kind in names and not (isinstance(one.body, Event) and one.gives_up())
        if drawn and one.seq not in bad:
            words = f"seq {one.seq}: {names[one.kind]}, {rfc3339(one.time)}"
            yield Moment(scale.x(one.time * 1000), one.kind.name.lower(), words)
