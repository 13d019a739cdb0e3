"""The C2SP witness interface over HTTP (tlog-witness)."""

from __future__ import annotations

import re
import time
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tallystick_gateway.folder import FolderError
from tallystick_gateway.witness import REQUEST_BYTES, SIZE_TYPE, Refused, Status, Witness

__all__ = ["application"]

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_UNAVAILABLE: Final = 503


def application(witness: Witness) -> Starlette:
    """POST /add-checkpoint, GET /<origin hash>/checkpoint."""

    async def add(request: Request) -> Response:
        body = b""
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > REQUEST_BYTES:
                    return PlainTextResponse("too long\n", Status.MALFORMED)
        except ClientDisconnect:
            return Response(status_code=Status.MALFORMED)
        return await run_in_threadpool(_add, witness, body)

    def shown(request: Request) -> Response:
        name = request.path_params["hash"]
        kept = witness.kept(name) if _HASH.fullmatch(name) else None
        if kept is None:
            return PlainTextResponse("never cosigned\n", 404)
        return PlainTextResponse(kept, headers={"cache-control": "no-cache"})

    return Starlette(
        routes=[
            Route("/add-checkpoint", add, methods=["POST"]),
            Route("/{hash}/checkpoint", shown, methods=["GET"]),
        ]
    )


def _add(witness: Witness, body: bytes) -> Response:
    try:
        return PlainTextResponse(witness.add(body, int(time.time())).line)
    except Refused as error:
        if error.status is Status.ANOTHER_SIZE:
            return Response(f"{error.size}\n", error.status, media_type=SIZE_TYPE)
        return PlainTextResponse(f"{error.detail}\n", error.status)
    except (FolderError, OSError) as error:
        # not persisted, so not cosigned
        return PlainTextResponse(f"{type(error).__name__}\n", _UNAVAILABLE)
