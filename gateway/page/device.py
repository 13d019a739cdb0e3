"""One device: its plots, its records, and their proofs."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tallystick.chain import Chain
from tallystick_gateway import bounds
from tallystick_gateway.page import agents, plot, series, words
from tallystick_gateway.page.plot import Plot
from tallystick_gateway.page.render import Renderer
from tallystick_gateway.page.series import Shown
from tallystick_gateway.rows import DeviceRow
from tallystick_gateway.site import Site
from tallystick_gateway.views import RecordView, Views, saying, text_of

__all__ = ["SPANS", "Device"]

SPANS: Final = {"1h": 3_600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000, "all": 0}
RECORDS: Final = 16  # in the table
_ID: Final = re.compile(r"[0-9a-f]{16}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,12}")


@dataclass(frozen=True)
class Row:
    """A record in the table."""

    view: RecordView
    says: str

    @property
    def state(self) -> str:
        """`anchored`, `pending` or `untrusted`."""
        if not self.view.trusted:
            return "untrusted"
        return "anchored" if self.view.anchored else "pending"


@dataclass(frozen=True)
class Drawn:
    """One channel's plot in its sizes."""

    name: str
    unit: str
    newest: str
    plots: list[Plot]


class Device:
    """The endpoint: `span` and `until` (Unix seconds) choose the window, `before` the records."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def __call__(self, request: Request) -> Response:
        """The document, or 404."""
        name = request.path_params["id"]
        if not _ID.fullmatch(name):
            raise HTTPException(404, "a device id has 16 lower-case hex digits")
        device = bytes.fromhex(name)
        span = request.query_params.get("span", "24h")
        if span not in SPANS:
            raise HTTPException(400, f"span is one of {', '.join(SPANS)}")
        until, before = _number(request, "until"), _number(request, "before")
        enrolled = self._site.writer.enrolment.current.devices.get(device)
        with self._site.views() as views, views.snapshot():
            row = views.device(device)
            if row is None and enrolled is None:
                raise HTTPException(404, f"device {name} is not known here")
            row = row or DeviceRow(device, enrolled.did if enrolled else "", None, None)
            facts: dict[str, Any] = {
                "view": views.standing(row, views.anchored_size()),
                "name": enrolled.name if enrolled else None,
                "did": row.did,
                "enrolled": enrolled is not None,
                "says": self._site.writer.presence.of(device),
                "fresh_at": self._site.writer.session(device),
                "span": span,
                "spans": list(SPANS),
                "until": until,
                "before": before,
                "evidence": views.evidence(device, 20),
            }
            chain = views.chain(device)
            facts |= {"forks": chain.forks, "given_up": chain.given_up} if chain else {
                "forks": [],
                "given_up": [],
            }  # fmt: skip
            opened = views.newest_open(device, chain) if chain else None
            facts["agent"] = agents.agent(opened, self._site.updates())
            facts |= _window(views, device, chain, span, until)
            listed = views.newest_records(device, RECORDS, before=before)
            facts["rows"] = [Row(one, _says(one)) for one in listed]
            facts["older"] = listed[-1].record.seq if len(listed) == RECORDS else None
        return self._renderer.page(request, "device.html", facts)


def _window(
    views: Views, device: bytes, chain: Chain | None, span: str, until: int | None
) -> dict[str, Any]:
    """The plots of the window, and which seqs they show."""
    nothing: dict[str, Any] = {"drawn": [], "shown": None, "more": False, "untimed": 0}
    newest = views.newest_time(device)
    if chain is None or newest is None:
        return nothing
    now = time.time()
    end = until if until is not None else newest
    start = end - SPANS[span] if SPANS[span] else 2**30
    records, more = views.readings(device, start, end, bounds.PLOT_RECORDS)
    if not records:
        return nothing
    first, last = records[0].record.seq, records[-1].record.seq
    marks = views.marks(device, first, last, bounds.PLOT_MARKS)
    shown = series.collect(records, marks, chain, end)
    return {
        "drawn": _drawn(shown, end, now),
        "shown": (first, last, len(records)),
        "more": more,
        "untimed": shown.untimed,
    }


def _drawn(shown: Shown, end: float, now: float) -> list[Drawn]:
    xs = [point.x for channel in shown.channels for point in channel.points]
    if not xs:
        return []
    window = (min(xs), max(*xs, min(end, now)) if len(xs) > 1 else min(xs) + 60)
    drawn = []
    for channel in shown.channels:
        plots = [
            plot.draw(size, channel.points, window, bands=shown.bands, marks=shown.marks)
            for size in (plot.WIDE, plot.NARROW)
        ]
        newest = "" if channel.newest is None else f"{channel.newest:g}"
        drawn.append(Drawn(channel.name, channel.unit, newest, plots))
    return drawn


def _says(view: RecordView) -> str:
    found = view.measurements
    if not found:
        return saying(view.record) or "readings without their open"
    shown = []
    for name, unit in dict.fromkeys((one.name, one.unit) for one in found):
        values = [Decimal(text_of(one.value)) for one in found if one.name == name]
        low, high = text_of(min(values)), text_of(max(values))
        said = low if low == high else f"{low} – {high}"
        shown.append(f"{name} {said} {words.unit(unit)}".strip())
    count = max(sum(one.name == first.name for one in found) for first in found[:1])
    return ", ".join(shown) + (f" ({count} readings)" if count > 1 else "")


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise HTTPException(400, f"{name}: {text[:32]!r} is not a number")
    return int(text)
