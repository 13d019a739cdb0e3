"""The first page: what state everything is in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tallystick.body import Open
from tallystick.errors import TallystickError
from tallystick_gateway.page import agents, plot, series
from tallystick_gateway.page.plot import Plot, Point
from tallystick_gateway.page.render import Renderer
from tallystick_gateway.presence import Said
from tallystick_gateway.rows import DeviceRow
from tallystick_gateway.site import Site
from tallystick_gateway.views import DeviceView, Views, text_of

__all__ = ["Card", "Overview"]

CARDS: Final = 60  # on one page
ANCHORS: Final = 8
_SPARK_RECORDS: Final = 40
_SPARK_POINTS: Final = 120
_ORDER: Final = {"forked": 0, "gap": 1, "ok": 2, "silent": 3}
_DAY_S: Final = 86_400


@dataclass(frozen=True)
class Card:
    """A device on the overview; `value` is the newest of its first channel."""

    view: DeviceView
    name: str | None
    enrolled: bool
    channel: str = ""
    value: str = ""
    unit: str = ""
    time: float | None = None
    trusted: bool = True
    spark: Plot | None = None
    says: Said | None = None
    agent: bytes | None = None  # the digest that its newest readings' `open` states
    damaged: bool = False  # the disk has changed one of its newest records

    @property
    def id(self) -> str:
        """16 hex digits."""
        return self.view.device.hex()


class Overview:
    """The endpoint. Cards of devices that have not moved are kept from the last time."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer
        self._kept: dict[bytes, Card] = {}

    def __call__(self, request: Request) -> Response:
        """The document; `page` counts from 1."""
        asked = request.query_params.get("page", "1")
        number = int(asked) if asked.isdigit() and len(asked) < 6 else 1
        enrolled = self._site.writer.enrolment.current.devices
        origin = self._site.identity.origin
        with self._site.views() as views, views.snapshot():
            anchored = views.anchored_size()
            rows = {row.device: row for row in views.devices()}
            for device in enrolled:
                rows.setdefault(device, DeviceRow(device, "", None, None))
            standing = [views.glance(row) for row in rows.values()]
            counts = {state: sum(v.state == state for v in standing) for state in _ORDER}
            standing.sort(key=lambda v: (_ORDER[v.state], self._label(v.device)))
            pages = max(1, -(-len(standing) // CARDS))
            number = min(max(1, number), pages)
            shown = [view.device for view in standing[(number - 1) * CARDS : number * CARDS]]
            views.expect(shown)
            cards = [self._card(views, views.standing(rows[one], anchored)) for one in shown]
            facts = {
                "cards": cards,
                "counts": counts,
                "page": number,
                "pages": pages,
                "anchored": anchored,
                "anchors": views.newest_anchors(ANCHORS),
                "rejected": views.counters().get("rejected", 0),
                "growth": self._growth(views, origin),
                "updates": agents.offers(
                    self._site.updates(), (card.agent for card in cards if card.agent)
                ),
            }
        return self._renderer.page(request, "overview.html", facts)

    def _label(self, device: bytes) -> str:
        return (self._site.name(device) or device.hex()).lower()

    def _card(self, views: Views, view: DeviceView) -> Card:
        kept = self._kept.get(view.device)
        enrolled = self._site.writer.enrolment.current.devices.get(view.device)
        name = enrolled.name if enrolled else None
        if kept is None or kept.view != view or kept.name != name:
            try:
                kept = _card(views, view, name, enrolled is not None)
            except TallystickError:  # the device's own page says more
                kept = Card(view, name, enrolled is not None, damaged=True)
            if len(self._kept) >= 20 * CARDS:
                self._kept.clear()
            self._kept[view.device] = kept
        return replace(kept, says=self._site.writer.presence.of(view.device))

    def _growth(self, views: Views, origin: str) -> list[Plot]:
        """The log over the last day that it grew, and how much of it is anchored."""
        sizes = views.growth(origin)
        if len(sizes) < 2:
            return []
        end = sizes[-1][0]
        start = max(sizes[0][0], end - _DAY_S)
        log = [Point(at, size, "pending") for at, size in sizes if at >= start]
        anchors = [
            Point(max(at, start), size, "anchored")
            for at, size in views.confirmations(origin)
            if at >= start or size >= log[0].y
        ]
        if anchors:
            anchors[0] = Point(anchors[0].x, anchors[0].y, "anchored", joined=False)
        points = [*plot.steps(series.thinned(log)), *plot.steps(anchors)]
        return [
            plot.draw(size, points, (start, max(end, start + 1)), whole=True)
            for size in (plot.MEDIUM, plot.NARROW)
        ]


def _card(views: Views, view: DeviceView, name: str | None, enrolled: bool) -> Card:
    if view.head is None:
        return Card(view, name, enrolled)
    found = []
    digest = None
    for one in reversed(views.newest_records(view.device, _SPARK_RECORDS)):
        opened = one.record.body if isinstance(one.record.body, Open) else one.opened
        if opened is not None and one.trusted:
            digest = opened.digest
        kind = "anchored" if one.anchored else "pending"
        found += [(m, kind if one.trusted else "untrusted") for m in one.measurements]
    if not found:
        return Card(view, name, enrolled, agent=digest)
    first, _ = found[-1]
    channel = next(m.name for m, _ in found)
    mine = [(m, kind) for m, kind in found if m.name == channel][-_SPARK_POINTS:]
    last = mine[-1][0] if mine else first
    points = [
        Point(float(m.time) if m.time is not None else index, float(text_of(m.value)), kind)
        for index, (m, kind) in enumerate(mine)
    ]
    timed = all(m.time is not None for m, _ in mine)
    if not timed:
        points = [Point(index, p.y, p.kind) for index, p in enumerate(points)]
    return Card(
        view,
        name,
        enrolled,
        channel,
        text_of(last.value),
        last.unit or "",
        None if last.time is None else float(last.time),
        points[-1].kind != "untrusted",
        plot.spark(points),
        agent=digest,
    )
