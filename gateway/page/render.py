"""Templates (Jinja2, everything escaped) with what all pages show."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tallystick_gateway.page import words
from tallystick_gateway.site import Site

__all__ = ["STATES", "Renderer"]

STATES: Final = {  # of a device: sign and word, so that colour is never all there is
    "ok": ("●", "in order"),
    "gap": ("◐", "records missing"),
    "forked": ("▲", "forked"),
    "silent": ("○", "no record yet"),
}


class Renderer:
    """Writes pages of one gateway."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._environment = Environment(
            loader=PackageLoader("tallystick_gateway.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "when": words.when,
            "iso": words.iso,
            "number": words.number,
            "short": words.short,
            "span": words.span,
            "unit": words.unit,
        }
        self._environment.globals["states"] = STATES
        # changes with the files, so that a browser never shows a new page in an old style
        static = Path(__file__).with_name("static")
        newest = max(int(file.stat().st_mtime) for file in static.iterdir())
        self._environment.globals["version"] = f"{newest:x}"

    def page(
        self, request: Request, template: str, facts: Mapping[str, Any], status: int = 200
    ) -> Response:
        """The document."""
        now = time.time()
        own = self._site.identity
        text = self._environment.get_template(template).render(
            facts,
            now=now,
            ago=lambda at: words.ago(at, now),
            gateway=own.id.hex(),
            origin=own.origin,
            status=self._site.writer.status(),
            query=request.query_params.get("q", ""),
        )
        return HTMLResponse(text, status, headers={"cache-control": "no-cache"})
