"""/events: tells open pages that something changed (server-sent events).

An event says no more than the sizes and the state, so it needs no login; the page fetches what it
shows by itself. Streams are few and end after a while: the browser comes again by itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tallystick_gateway import bounds
from tallystick_gateway.site import Site

__all__ = ["Events"]

_LOOK_S: Final = 1.0
_BEAT_S: Final = 15


class Events:
    """The endpoint; counts its open streams."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._open = 0

    async def answer(self, request: Request) -> Response:
        """The stream, or 503 when there are too many: pages then look by themselves."""
        if self._open >= bounds.HTTP_STREAMS:
            return Response(status_code=503, headers={"retry-after": "30"})
        return StreamingResponse(
            self._stream(request),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _stream(self, request: Request) -> AsyncIterator[str]:
        self._open += 1
        try:
            said, quiet = "", 0.0
            yield "retry: 3000\n\n"
            for _ in range(bounds.HTTP_STREAM_S):
                if await request.is_disconnected():
                    return
                fresh = self._state()
                if fresh != said:
                    said, quiet = fresh, 0.0
                    yield f"data: {fresh}\n\n"
                elif quiet >= _BEAT_S:
                    quiet = 0.0
                    yield ": still here\n\n"
                await asyncio.sleep(_LOOK_S)
                quiet += _LOOK_S
        finally:
            self._open -= 1

    def _state(self) -> str:
        status = self._site.writer.status()
        names = ("state", "reason", "size", "signed", "pending", "devices")
        return json.dumps({name: status[name] for name in names})
