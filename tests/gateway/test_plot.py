"""Plots as geometry: what is joined, what is broken, what is kept when there is too much to draw.

If this fails, the page shows a line where nobody measured, or hides the peak that somebody looks for.
"""

from __future__ import annotations

import math
import re
import textwrap

import pytest

from tallystick.body import Channel, Readings
from tallystick.chain import Chain
from tallystick_gateway.adapters import Adapter, Device, Gateway, Reading
from tallystick_gateway.page import plot, series, words
from tallystick_gateway.page.plot import NARROW, WIDE, Band, Mark, Point
from tallystick_gateway.page.search import moment
from tallystick_gateway.views import RecordView
from tests.gateway.boards import OPEN, START, Board
from tests.parts import ROOT


def coordinates(path: str) -> list[tuple[float, float]]:
    """The points of an SVG path."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_everything_lies_within_the_field(size: plot.Size) -> None:
    """A curve would run over its labels, or out of the picture."""
    points = [Point(t, 1e6 * math.sin(t), "anchored") for t in range(50)]
    drawn = plot.draw(
        size, points, (0, 49), bands=[Band(-5, 99, "pending", "x")], marks=[Mark(99, "reboot", "x")]
    )
    spots = [spot for line in drawn.lines for spot in coordinates(line.path)]
    assert len(spots) == 50
    for x, y in [*spots, *((m.x, size.top) for m in drawn.marks)]:
        assert size.left <= x <= size.width - size.right
        assert size.top <= y <= size.height - size.bottom
    (box,) = drawn.boxes
    assert (size.left, size.inner[0]) == (box.x, box.width)
    assert 2 <= len(drawn.across) <= 12
    assert 2 <= len(drawn.up) <= 12


@pytest.mark.parametrize(
    "values", [[5.0], [5.0, 5.0], [0.0, 0.0], [-1e-9, 1e-9], [1e12, -1e12], []]
)
def test_odd_values(values: list[float]) -> None:
    """A sensor that says one thing all day would end in a division by zero."""
    drawn = plot.draw(WIDE, [Point(t, v, "anchored") for t, v in enumerate(values)], (0, 1))
    assert all(math.isfinite(y) for y, _ in drawn.up)
    assert drawn.up
    assert "nan" not in "".join(line.path for line in drawn.lines)


def test_a_break_is_a_break() -> None:
    """Missing records would be bridged by a straight line."""
    points = [
        Point(0, 1, "anchored"),
        Point(1, 2, "anchored"),
        Point(5, 2, "anchored", joined=False),
        Point(6, 1, "anchored"),
        Point(7, 1, "pending"),
    ]
    lines = plot.draw(WIDE, points, (0, 7)).lines
    assert ["anchored", "anchored", "pending"] == [line.kind for line in lines]
    ends = [coordinates(line.path) for line in lines]
    assert [2, 2, 2] == [len(spots) for spots in ends]
    assert ends[1][-1] == ends[2][0]  # one kind goes over into the next without a hole


def test_peaks_survive() -> None:
    """The one hour when the freezer was warm would vanish from a month."""
    points = [Point(t, 4.0 + (t % 7) / 10, "anchored") for t in range(50_000)]
    points[31_415] = Point(31_415, 21.0, "anchored")
    points[2_718] = Point(2_718, -30.0, "anchored")
    points[40_000] = Point(40_000, 4.0, "anchored", joined=False)
    kept = series.thinned(points)
    assert len(kept) < 2_000
    assert {21.0, -30.0} <= {point.y for point in kept}
    assert 1 == sum(not point.joined for point in kept)
    assert kept == sorted(kept, key=lambda point: point.x)


def _views(board: Board, *, anchored: int) -> list[RecordView]:
    says = OPEN.replace(channels=(Channel("temperature", "Cel", -2),))
    return [
        RecordView(one, leaf, leaf < anchored, True, says)
        for leaf, one in enumerate(board.records)
        if isinstance(one.body, Readings)
    ]


def test_gaps_and_silence() -> None:
    """A gap that was explained, one that was not, and a board that merely slept would look alike."""
    board = Board()
    board.open()
    for n in range(30):
        boot, at = 0, START + 60 * n + (36_000 if n >= 20 else 0)
        board.sign(Readings(boot, 0, ((400 + n,),)), time=at)
    chain = Chain(board.first_key)
    for one in board.records:
        if one.seq not in (8, 9):
            chain.admit(one)
    views = [view for view in _views(board, anchored=16) if view.record.seq not in (8, 9)]
    shown = series.collect(views, [], chain, views[-1].record.time)
    (channel,) = shown.channels
    assert [START + 60 * 9, START + 60 * 20 + 36_000] == [
        p.x for p in channel.points if not p.joined
    ]
    gap, pending = shown.bands
    assert ("gap", "2 records missing") == (gap.kind, gap.text)
    assert (START + 60 * 6, START + 60 * 9) == (gap.start, gap.end)
    assert ("pending", START + 60 * 15) == (pending.kind, pending.start)


def test_a_board_without_a_clock() -> None:
    """Seconds since boot would be drawn in 1970."""
    board = Board()
    board.open()
    board.sign(Readings(0, 0, ((1,),)), time=500)
    shown = series.collect(_views(board, anchored=9), [], Chain(board.first_key), START)
    assert ([], 1) == (shown.channels, shown.untimed)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-11-20T14:02Z", 1_795_183_320),
        ("2026-11-20 14:02", 1_795_183_320),
        ("2026-11-20T15:02+01:00", 1_795_183_320),
        ("1795183320", 1_795_183_320),
        ("2026-11-31", None),
        ("cold-room", None),
        ("12345", None),
    ],
)
def test_moments(text: str, found: int | None) -> None:
    """A search for a time would look for a name."""
    assert found == moment(text)


def test_words() -> None:
    """An age or a number would be misread."""
    assert ["just now", "7 s ago", "12 min ago", "3 h ago", "9 d ago", "in 2 h", "never"] == [
        words.ago(at, 1_000_000)
        for at in (1_000_000, 999_993, 999_280, 989_000, 200_000, 1_007_300, None)
    ]
    assert "12\u202f345\u202f678" == words.number(12_345_678)
    assert ("°C", "% RH", "zz", "") == tuple(words.unit(one) for one in ("Cel", "%RH", "zz", None))


def test_the_adapter_of_the_docs() -> None:
    """Who copies the example would start with an error."""
    page = (ROOT / "docs" / "adapters.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    space: dict[str, object] = {}
    exec(textwrap.dedent(code), space)  # it is our own page
    made = space["Influx"]
    assert isinstance(made, type)
    assert issubclass(made, Adapter)
    adapter = made(Gateway("0" * 16, "0"), {"measurement": "cold_chain"})
    device = Device("ab" * 8, "did:key:z", None, None, (), "ok", 1, 0, None, 2, 0, None)
    (said,) = adapter.readings(device, [Reading("t", "Cel", 4, 1_790_000_000.0, 7, "00" * 32)])
    assert "influx/abababababababab" == said.topic
    line = b"cold_chain,device=abababababababab,channel=t value=4,seq=7i 1790000000000000000"
    assert line == said.payload
