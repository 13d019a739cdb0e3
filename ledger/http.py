"""The ledger's read-only HTTP side. It gives what proves itself; nothing here is trusted for coming from here.

    GET /                                 the page that shows the DAG; /page/<name> its parts
    GET /healthz                          JSON: newest milestone, blocks waiting, connection to the broker;
                                          503 once the ledger was seen to fork; of a bridge, what it posts besides
    GET /metrics                          the same in Prometheus' text format
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

import socket
import threading
from collections.abc import Callable
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder
from tallystick_ledger.limits import HTTP_CONNECTIONS
from tallystick_ledger.pages import Pages

__all__ = ["Server", "application"]

_JOIN_S: Final = 1.5


def application(
    folder: Folder,
    connected: Callable[[], bool],
    make: Callable[[Folder, Callable[[], bool]], Pages] = Pages,
) -> Starlette:
    """The paths above, over the ledger in `folder`."""
    pages = make(folder, connected)
    return Starlette(
        routes=[
            Route("/healthz", pages.health),
            Route("/metrics", pages.metrics),
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


def _explain(_: Request, error: Exception) -> Response:
    """{code, detail}, for our own refusals and for those of the framework."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "internal error"
    code, colon, rest = detail.partition(": ")
    if not colon:
        code, rest = f"http.{status}", detail.lower()
    return JSONResponse({"code": code, "detail": rest}, status)
