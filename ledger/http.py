"""The ledger's read-only HTTP side. It gives what proves itself; nothing here is trusted for coming from here.

    GET /                                 the page that shows the DAG; /page/<name> its parts
    GET /healthz                          JSON: newest milestone, blocks waiting, connection to the broker;
                                          503 once the ledger was seen to fork
    GET /v1/identity                      the verifier key, one line
    GET /v1/milestone                     newest milestone block
    GET /v1/checkpoint                    the same as signed note
    GET /v1/blocks/<64 hex>               a block's bytes
    GET /v1/blocks/<64 hex>/confirmed     CBOR `confirmed`; 404 `block.pending` until then
    GET /v1/blocks/<64 hex>/cosigned      CBOR `cosigned`; 404 `checkpoint.not-cosigned`
    GET /v1/blocks/<64 hex>/view          JSON: what a block says, its children, its path; for people
    GET /v1/dag?before=A&limit=N          JSON: the newest blocks that came before arrival A; for people
    GET /v1/tips                          CBOR [* hash]: unconfirmed blocks without children
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
from pathlib import Path
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tallystick import cbor
from tallystick_ledger import views
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder
from tallystick_ledger.limits import (
    ANSWER_BYTES,
    EXPORT_BLOCKS,
    HTTP_CONNECTIONS,
    PAGE_BLOCKS,
    STATEMENTS,
)
from tallystick_ledger.reader import Reader

__all__ = ["Server", "application"]

_CBOR: Final = "application/cbor"
_CBOR_SEQUENCE: Final = "application/cbor-seq"  # RFC 8742
_COSE: Final = "application/cose"
_JOIN_S: Final = 1.5
_NEWEST: Final = 10**18 - 1
_PAGE: Final = Path(__file__).parent / "page"
_PAGE_TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "drawing.js": "text/javascript; charset=utf-8",
}
# the page is its own and asks nobody else; what a block says is text, never code
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
)


class _Views:
    """One method a path; each sees the database at one moment."""

    def __init__(self, folder: Folder, connected: Callable[[], bool]) -> None:
        self._folder = folder
        self._connected = connected

    def health(self, _: Request) -> Response:
        with self._reader() as reader:
            head = reader.head()
            newest = reader.milestone(head.index)
            forks = reader.forks()
            facts = {
                "status": "fork" if forks else "ok",
                "ledger": reader.ledger.hex(),
                "role": "signs" if self._folder.signs else "follows",
                "index": head.index,
                "size": head.size,
                "time": None if newest is None else newest.time,
                "pending": reader.pending_count(),
                "broker": "connected" if self._connected() else "disconnected",
            }
            if forks:
                facts["code"] = forks[0][3]
            return JSONResponse(facts, 503 if forks else 200)

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
            if raw is None and reader.has(name):
                raise HTTPException(410, "block.pruned: it was here; its bytes were pruned")
        if raw is None:
            raise _missing("block.unknown", f"no block {name.hex()} here")
        return Response(raw, media_type=_COSE)

    def confirmed(self, request: Request) -> Response:
        name = _hex(request, 64)
        with self._reader() as reader:
            confirmed = reader.confirmed(name)
            if confirmed is not None:
                return Response(confirmed.encode(), media_type=_CBOR)
            if reader.position(name) is not None:
                raise HTTPException(410, "block.pruned: it was here; its bytes were pruned")
            if reader.has(name):
                raise _missing("block.pending", "attached; no milestone has confirmed it yet")
        raise _missing("block.unknown", f"no block {name.hex()} here")

    def cosigned(self, request: Request) -> Response:
        name = _hex(request, 64)
        with self._reader() as reader:
            if not reader.has(name):
                raise _missing("block.unknown", f"no block {name.hex()} here")
            found = reader.cosigned(name)
        if found is None:
            raise _missing("checkpoint.not-cosigned", "no witness has cosigned it")
        return Response(cbor.encode([found.checkpoint.raw, list(found.path)]), media_type=_CBOR)

    def view(self, request: Request) -> Response:
        name = _hex(request, 64)
        with self._reader() as reader:
            facts = views.block_facts(reader, name)
        if facts is None:
            raise _missing("block.unknown", f"no block {name.hex()} here")
        return JSONResponse(facts)

    def dag(self, request: Request) -> Response:
        before = _number(request, "before", _NEWEST)
        limit = min(_number(request, "limit", PAGE_BLOCKS), PAGE_BLOCKS)
        with self._reader() as reader:
            facts = views.dag_facts(reader, before, limit)
        facts["role"] = "signs" if self._folder.signs else "follows"
        facts["broker"] = "connected" if self._connected() else "disconnected"
        return JSONResponse(facts, headers={"Cache-Control": "no-store"})

    def tips(self, _: Request) -> Response:
        with self._reader() as reader:
            return Response(cbor.encode(views.tip_ids(reader)), media_type=_CBOR)

    def page(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        kind = _PAGE_TYPES.get(name)
        if kind is None:
            raise HTTPException(404)
        return Response(
            (_PAGE / name).read_bytes(), media_type=kind, headers={"Content-Security-Policy": _CSP}
        )

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
    pages = _Views(folder, connected)
    return Starlette(
        routes=[
            Route("/healthz", pages.health),
            Route("/v1/identity", pages.identity),
            Route("/v1/milestone", pages.milestone),
            Route("/v1/checkpoint", pages.checkpoint),
            Route("/v1/blocks/{id}", pages.block),
            Route("/v1/blocks/{id}/confirmed", pages.confirmed),
            Route("/", pages.page),
            Route("/page/{name}", pages.page),
            Route("/v1/blocks/{id}/view", pages.view),
            Route("/v1/dag", pages.dag),
            Route("/v1/tips", pages.tips),
            Route("/v1/blocks/{id}/cosigned", pages.cosigned),
            Route("/v1/statements/{id}", pages.statements),
            Route("/v1/export", pages.export),
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
