"""The ledger's read-only HTTP side. It gives what proves itself; nothing here is trusted for coming from here.

    GET /healthz                          JSON: newest milestone, blocks waiting, connection to the broker
    GET /v1/identity                      the verifier key, one line
    GET /v1/milestone                     newest milestone block
    GET /v1/checkpoint                    the same as signed note
    GET /v1/blocks/<64 hex>               a block's bytes
    GET /v1/blocks/<64 hex>/confirmed     CBOR `confirmed`; 404 `block.pending` until then
    GET /v1/statements/<16 hex>?from=N    CBOR [* bstr .cbor confirmed], ascending positions from N on
    GET /v1/export?from=N&limit=M         CBOR sequence of blocks as byte strings, from position N on

Answers are bounded. One that ends early goes on with `from` = last position + 1; an empty one is the
end. Errors are JSON {code, detail}.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tallystick import cbor
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder
from tallystick_ledger.limits import ANSWER_BYTES, EXPORT_BLOCKS, HTTP_CONNECTIONS, STATEMENTS
from tallystick_ledger.store import Reader

__all__ = ["Server", "application"]

_CBOR: Final = "application/cbor"
_CBOR_SEQUENCE: Final = "application/cbor-seq"  # RFC 8742
_COSE: Final = "application/cose"
_JOIN_S: Final = 1.5


class _Views:
    """One method a path; each sees the database at one moment."""

    def __init__(self, folder: Folder, connected: Callable[[], bool]) -> None:
        self._folder = folder
        self._connected = connected

    def health(self, _: Request) -> Response:
        with self._reader() as reader:
            head = reader.head()
            newest = reader.milestone(head.index)
            return JSONResponse(
                {
                    "status": "ok",
                    "ledger": reader.ledger.hex(),
                    "index": head.index,
                    "size": head.size,
                    "time": None if newest is None else newest.time,
                    "pending": reader.pending_count(),
                    "broker": "connected" if self._connected() else "disconnected",
                }
            )

    def identity(self, _: Request) -> Response:
        return PlainTextResponse(f"{self._folder.identity()}\n")

    def milestone(self, _: Request) -> Response:
        with self._reader() as reader:
            newest = reader.milestone(reader.head().index)
        if newest is None:
            raise _missing("milestone.none", "no milestone yet")
        return Response(newest.block.raw, media_type=_COSE)

    def checkpoint(self, _: Request) -> Response:
        with self._reader() as reader:
            note = reader.checkpoint(reader.head().index)
        if note is None:
            raise _missing("milestone.none", "no milestone yet")
        return Response(note, media_type="text/plain; charset=utf-8")

    def block(self, request: Request) -> Response:
        name = _hex(request, 64)
        with self._reader() as reader:
            raw = reader.raw(name)
        if raw is None:
            raise _missing("block.unknown", f"no block {name.hex()} here")
        return Response(raw, media_type=_COSE)

    def confirmed(self, request: Request) -> Response:
        name = _hex(request, 64)
        with self._reader() as reader:
            confirmed = reader.confirmed(name)
            if confirmed is not None:
                return Response(confirmed.encode(), media_type=_CBOR)
            if reader.has(name):
                raise _missing("block.pending", "attached; no milestone has confirmed it yet")
        raise _missing("block.unknown", f"no block {name.hex()} here")

    def statements(self, request: Request) -> Response:
        device, start = _hex(request, 16), _number(request, "from", 0)
        found: list[bytes] = []
        with self._reader() as reader:
            for name in reader.statements(device, start, STATEMENTS):
                confirmed = reader.confirmed(name)
                if confirmed is not None:
                    found.append(confirmed.encode())
                if sum(map(len, found)) > ANSWER_BYTES:
                    break
        return Response(cbor.encode(found), media_type=_CBOR)

    def export(self, request: Request) -> Response:
        start = _number(request, "from", 0)
        limit = min(_number(request, "limit", EXPORT_BLOCKS), EXPORT_BLOCKS)
        out = bytearray()
        with self._reader() as reader:
            for raw in reader.export(start, limit):
                out += cbor.encode(raw)
                if len(out) > ANSWER_BYTES:
                    break
        return Response(bytes(out), media_type=_CBOR_SEQUENCE)

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        with Reader.open(self._folder.database) as reader:
            yield reader


def application(folder: Folder, connected: Callable[[], bool]) -> Starlette:
    """The paths above, over the ledger in `folder`."""
    views = _Views(folder, connected)
    return Starlette(
        routes=[
            Route("/healthz", views.health),
            Route("/v1/identity", views.identity),
            Route("/v1/milestone", views.milestone),
            Route("/v1/checkpoint", views.checkpoint),
            Route("/v1/blocks/{id}", views.block),
            Route("/v1/blocks/{id}/confirmed", views.confirmed),
            Route("/v1/statements/{id}", views.statements),
            Route("/v1/export", views.export),
        ],
        exception_handlers={HTTPException: _explain},
    )


class Server:
    """Serves `app` on host:port in a thread of its own while entered; `port` 0 takes a free one."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((host, port), family=family)
        except OSError as error:
            raise LedgerError(
                f"cannot listen on '{host}:{port}': {error.strerror}",
                hint="choose another --http HOST:PORT",
            ) from error
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            limit_concurrency=HTTP_CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
            lifespan="off",
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(_JOIN_S)
        self._socket.close()

    def _run(self) -> None:
        self._server.run([self._socket])


def _missing(code: str, detail: str) -> HTTPException:
    return HTTPException(404, f"{code}: {detail}")


def _explain(_: Request, error: Exception) -> Response:
    """{code, detail}, for our own refusals and for those of the framework."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "internal error"
    code, colon, rest = detail.partition(": ")
    if not colon:
        code, rest = f"http.{status}", detail.lower()
    return JSONResponse({"code": code, "detail": rest}, status)


def _hex(request: Request, digits: int) -> bytes:
    given = request.path_params["id"]
    if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", given):
        raise HTTPException(400, f"request.id: not {digits} lower-case hex digits")
    return bytes.fromhex(given)


def _number(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise HTTPException(400, f"request.{name}: not a number of at most 18 digits")
    return int(given)
