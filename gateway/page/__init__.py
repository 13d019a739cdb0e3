"""The page for people: what a wall screen and a phone show of a gateway, read-only.

Every view is one HTML document rendered on the server; `static/page.js` only fetches the same
address again when `/events` says that something changed, and puts in what differs. Without script
the page renews itself every half minute.

::

    overview   devices, the growth of the log, the newest anchors
    device     one device: plots, records, proofs to download
    agents     which agent a device runs, and the updates that are here
    search     by name, id, time, or the hash of a record or block
    plot       geometry; `series` what goes into it
    live       /events
    words      how times, ages and numbers are written
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tallystick_gateway.page.device import Device
from tallystick_gateway.page.live import Events
from tallystick_gateway.page.overview import Overview
from tallystick_gateway.page.render import Renderer
from tallystick_gateway.page.search import Search
from tallystick_gateway.site import Site

__all__ = ["problem", "routes"]

_STATIC: Final = Path(__file__).with_name("static")


def routes(site: Site) -> list[Route | Mount]:
    """What the application serves of the page."""
    renderer = Renderer(site)
    kept = site.access.kept
    return [
        Route("/", kept(Overview(site, renderer)), methods=["GET"], name="overview"),
        Route("/devices/{id}", kept(Device(site, renderer)), methods=["GET"], name="device"),
        Route("/search", kept(Search(site, renderer)), methods=["GET"], name="search"),
        Route("/events", Events(site).answer, methods=["GET"], name="events"),
        Mount("/static", StaticFiles(directory=_STATIC), name="static"),
    ]


def problem(site: Site, request: Request, status: int, detail: str) -> Response:
    """A refusal as a page, for who asked with a browser."""
    return Renderer(site).page(request, "problem.html", {"detail": detail}, status)
