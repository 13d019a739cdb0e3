"""Search by name, id, time, or the hash of a record or of an anchor's block."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tallystick import record
from tallystick_gateway.page import words
from tallystick_gateway.page.render import Renderer
from tallystick_gateway.site import Site
from tallystick_gateway.views import Views

__all__ = ["Hit", "Search", "moment"]

HITS: Final = 50
_CHARACTERS: Final = 128
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_UNIX: Final = re.compile(r"[0-9]{10}")


@dataclass(frozen=True)
class Hit:
    """What was found, where it leads, and the proof to download if it is a record."""

    kind: str
    title: str
    detail: str
    link: str | None = None
    proof: str | None = None


class Search:
    """The endpoint."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def __call__(self, request: Request) -> Response:
        """The document; `q` is what was typed."""
        asked = request.query_params.get("q", "").strip()[:_CHARACTERS]
        with self._site.views() as views, views.snapshot():
            hits = list(self._hits(views, asked)) if asked else []
        facts = {"hits": hits[:HITS], "asked": asked, "more": len(hits) > HITS}
        return self._renderer.page(request, "search.html", facts)

    def _hits(self, views: Views, asked: str) -> list[Hit]:
        low = asked.lower()
        if _HASH.fullmatch(low):
            return self._by_hash(views, bytes.fromhex(low))
        at = moment(asked)
        if at is not None:
            return self._by_time(views, at)
        found = []
        enrolled = self._site.writer.enrolment.current.devices
        known = {row.device: row.did for row in views.devices()}
        known |= {device: one.did for device, one in enrolled.items()}
        for device, did in known.items():
            name = self._site.name(device)
            if low in device.hex() or low in (name or "").lower() or asked in did:
                found.append(
                    Hit("device", name or device.hex(), device.hex(), f"/devices/{device.hex()}")
                )
        return sorted(found, key=lambda hit: hit.title.lower())

    def _by_hash(self, views: Views, wanted: bytes) -> list[Hit]:
        found = views.find(wanted)
        if found is not None:
            device, seq, result = found
            link = f"/devices/{device.hex()}?before={seq + 1}#records"
            title = f"record {seq} of {self._site.name(device) or device.hex()}"
            if result != "admitted":
                return [Hit("record", title, f"kept as evidence: {result}", link)]
            proof = f"/v1/devices/{device.hex()}/proof?seq={seq}"
            return [Hit("record", title, wanted.hex(), link, proof)]
        anchor = views.anchor(wanted)
        if anchor is not None:
            detail = (
                f"{anchor.state}, covers {anchor.size} leaves, built {words.when(anchor.built)}"
            )
            return [Hit("anchor", f"block {wanted.hex()[:16]}…", detail)]
        return []

    def _by_time(self, views: Views, at: int) -> list[Hit]:
        found = []
        for row in views.devices():
            before = views.readings_before(row.device, at, 1)
            if not before or before[0][1] < record.CLOCK_UNSET_BELOW:
                continue
            seq, time = before[0]
            name = self._site.name(row.device) or row.device.hex()
            found.append(
                Hit(
                    "record",
                    f"record {seq} of {name}",
                    f"readings from {words.when(time)} UTC on",
                    f"/devices/{row.device.hex()}?span=1h&until={at}&before={seq + 1}",
                    f"/v1/devices/{row.device.hex()}/proof?seq={seq}",
                )
            )
            if len(found) > HITS:
                break
        return found


def moment(text: str) -> int | None:
    """Unix seconds of `2026-11-20T14:02Z`, `2026-11-20 14:02`, `2026-11-20` (UTC) or 10 digits."""
    if _UNIX.fullmatch(text):
        return int(text)
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp())
