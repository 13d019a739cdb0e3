"""The read-only side: state, metrics, devices, proofs, tiles, and the page (Starlette).

Nothing here changes anything, every answer is bounded, and every request reads one moment of the
database through a connection of its own. Hash tiles and checkpoint are public; entry bundles hold
everybody's readings and need the token; `access` says what else does.
"""

from __future__ import annotations

import functools
import re
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tallystick.chain import Chain
from tallystick.errors import TallystickError
from tallystick_gateway import bounds, page, proofs
from tallystick_gateway.access import Headers
from tallystick_gateway.folder import FolderError
from tallystick_gateway.metrics import CONTENT_TYPE, Metrics
from tallystick_gateway.proofs import ProofError, Wanted
from tallystick_gateway.site import Site
from tallystick_gateway.tiles import WIDTH, Tiles, bundle

__all__ = ["Server", "application"]

log = structlog.get_logger()

_ID: Final = re.compile(r"[0-9a-f]{16}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,12}")
_TILE: Final = re.compile(
    r"(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)
_IMMUTABLE: Final = {"cache-control": "public, max-age=31536000, immutable"}
_FLEETING: Final = {"cache-control": "no-cache"}
_OCTETS: Final = "application/octet-stream"


def application(site: Site) -> Starlette:
    """Everything that is served of a gateway."""
    pages = _Pages(site)
    open_to_all: list[tuple[str, Callable[[Request], Response]]] = [
        ("/healthz", pages.healthz),
        ("/readyz", pages.readyz),
        ("/metrics", pages.metrics),
        ("/v1/identity", pages.identity),
        ("/checkpoint", pages.checkpoint),
        ("/tile/{path:path}", pages.tile),
    ]
    readings: list[tuple[str, Callable[[Request], Response]]] = [
        ("/v1/devices", pages.devices),
        ("/v1/devices/{id}", pages.device),
        ("/v1/devices/{id}/proof", pages.proof),
        ("/v1/quarantine", pages.quarantine),
    ]
    app = Starlette(
        routes=[
            *(Route(path, answer, methods=["GET"]) for path, answer in open_to_all),
            *(Route(path, site.access.kept(answer), methods=["GET"]) for path, answer in readings),
            *page.routes(site),
        ],
        exception_handlers={
            HTTPException: functools.partial(_refusal, site),
            FolderError: _away,
            sqlite3.Error: _away,
            TallystickError: functools.partial(_damaged, site),
        },
    )
    app.add_middleware(Headers)
    return app


class Server:
    """uvicorn in a thread of its own, so that signals stay with the command."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=bounds.HTTP_CONNECTIONS,
            timeout_graceful_shutdown=1,
            lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)

    def start(self) -> None:
        """Return when it accepts connections; `OSError` if it cannot."""
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.02)
            if not self._thread.is_alive():
                raise OSError("the HTTP side did not start: is the address free?")

    def stop(self) -> None:
        """Finish the requests under way, for at most a second."""
        self._server.should_exit = True
        self._thread.join(1.5)


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._folder, self._identity, self._writer = site.folder, site.identity, site.writer
        self._store = site.views
        self._metrics = Metrics(site.writer, site.views, by_device=site.device_metrics)

    def healthz(self, _request: Request) -> Response:
        """Is it worth keeping alive? `starting` is; trouble and a frozen log want a person."""
        status = self._writer.status()
        good = status["state"] in ("running", "starting")
        with self._store() as store:
            status["counters"] = store.counters()
            status["anchored"] = store.anchored_size()
        return JSONResponse(status, 200 if good else 503, headers=_FLEETING)

    def readyz(self, _request: Request) -> Response:
        """Does it take records in and sign? Only `running` does."""
        status = self._writer.status()
        ready = status["state"] == "running"
        said = {"ready": ready, "state": status["state"], "reason": status["reason"]}
        return JSONResponse(said, 200 if ready else 503, headers=_FLEETING)

    def metrics(self, _request: Request) -> Response:
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE, **_FLEETING})

    def identity(self, _request: Request) -> Response:
        own = self._identity
        return JSONResponse(
            {"id": own.id.hex(), "origin": own.origin, "verifier_key": str(own.verifier)}
        )

    def devices(self, request: Request) -> Response:
        after = request.query_params.get("after", "")
        enrolled = self._writer.enrolment.current.devices
        with self._store() as store:
            rows = {row.device: row for row in store.devices()}
        ids = sorted(one for one in {*enrolled, *rows} if one.hex() > after)
        listed = [
            {
                "id": one.hex(),
                "name": enrolled[one].name if one in enrolled else None,
                "enrolled": one in enrolled,
                "last_seen": rows[one].last_seen if one in rows else None,
                **self._said(one),
            }
            for one in ids[: bounds.HTTP_ROWS]
        ]
        more = len(ids) > bounds.HTTP_ROWS
        return JSONResponse({"devices": listed, "more": more}, headers=_FLEETING)

    def _said(self, device: bytes) -> dict[str, Any]:
        """What the board says of itself, unsigned."""
        said = self._writer.presence.of(device)
        if said is None:
            return {"says": None}
        return {"says": {"state": said.word, "since": said.since, "reason": said.reason}}

    def device(self, request: Request) -> Response:
        device = _device(request)
        enrolled = self._writer.enrolment.current.devices.get(device)
        with self._store() as store, store.snapshot():
            row = store.device(device)
            if enrolled is None and row is None:
                raise HTTPException(404, f"device {device.hex()} is not known")
            facts: dict[str, Any] = {
                "id": device.hex(),
                "did": enrolled.did if enrolled else row.did if row else None,
                "name": enrolled.name if enrolled else None,
                "enrolled": enrolled is not None,
                "last_seen": row.last_seen if row else None,
                **self._said(device),
                "session_fresh_at": self._writer.session(device),
                "pending_anchors": len(store.anchors("pending", "attached")),
                "anchored": store.newest_within(device, store.anchored_size()),
                "unanchored": store.unanchored(device, store.anchored_size()),
            }
            facts |= _chain_facts(store.chain(device))
            facts["evidence"] = [
                {
                    "leaf": leaf,
                    "seq": seq,
                    "result": result,
                    "other": other.hex() if other else None,
                    "detail": detail,
                }
                for leaf, seq, result, other, detail in store.evidence(device, 100)
            ]
        return JSONResponse(facts, headers=_FLEETING)

    def proof(self, request: Request) -> Response:
        device = _device(request)
        query = request.query_params
        unknown = set(query) - {"seq", "from", "to", "time", "since", "until", "not_before"}
        if unknown or query.get("not_before", "0") not in ("0", "1"):
            raise HTTPException(
                400, "ask with seq, from and to, time, or since and until; and not_before=1"
            )
        first, last = _number(query.get("from")), _number(query.get("to"))
        seq = _number(query.get("seq"))
        try:
            if seq is not None:
                if first is not None or last is not None:
                    raise ProofError("seq, or from and to: not both")
                first = last = seq
            since, until = _number(query.get("since")), _number(query.get("until"))
            back = query.get("not_before") == "1"
            wanted = Wanted(first, last, _number(query.get("time")), back, since, until)
        except ProofError as error:
            raise HTTPException(400, error.detail) from error
        with self._store() as store:
            tiles = Tiles(self._folder.log, store.entries)
            devices = self._writer.enrolment.current.devices
            try:
                data = proofs.build(
                    store, tiles, devices, device, wanted, most=bounds.HTTP_PROOF_RECORDS
                )
            except ProofError as error:
                return JSONResponse({"error": error.detail, "hint": error.hint}, 404)
        name = f"{device.hex()}.tally"
        disposition = {"content-disposition": f'attachment; filename="{name}"', **_FLEETING}
        return Response(data, media_type=_OCTETS, headers=disposition)

    def quarantine(self, request: Request) -> Response:
        before = _number(request.query_params.get("before"))
        with self._store() as store:
            rows = store.quarantined(100, before)
            counters = store.counters()
        listed = [
            {
                "n": n,
                "at": r.at,
                "topic": r.topic,
                "device": r.device.hex() if r.device else None,
                "seq": r.seq,
                "code": r.code,
                "detail": r.detail,
                "length": r.length,
            }
            for n, r in rows
        ]
        total, evicted = counters.get("rejected", 0), counters.get("evicted", 0)
        return JSONResponse(
            {"rejected": total, "evicted": evicted, "messages": listed}, headers=_FLEETING
        )

    def checkpoint(self, _request: Request) -> Response:
        with self._store() as store:
            newest = store.newest_checkpoint(self._identity.origin)
        if newest is None:
            raise HTTPException(404, "nothing has been signed yet")
        return PlainTextResponse(newest.note, headers=_FLEETING)

    def tile(self, request: Request) -> Response:
        match = _TILE.fullmatch(request.path_params["path"])
        if match is None or (match[2].startswith("x000/")):
            raise HTTPException(404, "no such tile")
        n, width = int(re.sub(r"[x/]", "", match[2])), int(match[3] or WIDTH)
        if match[1] == "entries":
            self._site.access.check(request)
        level = 0 if match[1] == "entries" else int(match[1])
        with self._store() as store:
            newest = store.newest_checkpoint(self._identity.origin)
            # only what a checkpoint covers is published
            if width > WIDTH or ((newest.size if newest else 0) >> 8 * level) < n * WIDTH + width:
                raise HTTPException(404, "no such tile")
            if match[1] == "entries":
                data = bundle(store.entries(n * WIDTH, n * WIDTH + width))
            else:
                data = Tiles(self._folder.log, store.entries).hashes(level, n, width)
        return Response(
            data, media_type=_OCTETS, headers=_IMMUTABLE if match[1] != "entries" else _FLEETING
        )


def _chain_facts(chain: Chain | None) -> dict[str, Any]:
    if chain is None:
        return {"head": None, "upto": None, "missing": [], "given_up": [], "forks": [], "keys": []}
    head = chain.links.get(chain.top)
    return {
        "head": {"seq": chain.top, "id": head.id.hex()} if head else None,
        "upto": chain.upto,
        "missing": _spans(chain.missing),
        "given_up": _spans(chain.given_up),
        "forks": [
            {
                "seq": fork.seq,
                "kid": fork.kid.hex(),
                "first": fork.first.hex(),
                "second": fork.second.hex(),
            }
            for fork in chain.forks
        ],
        "keys": [{"from": p.start, "kid": p.key.kid.hex()} for p in chain.periods],
        "disowned": len(chain.disowned),
    }


def _spans(ranges: list[range]) -> list[list[int]]:
    return [[r.start, r.stop - 1] for r in ranges[: bounds.HTTP_ROWS]]


def _device(request: Request) -> bytes:
    name = request.path_params["id"]
    if not _ID.fullmatch(name):
        raise HTTPException(404, "a device id has 16 lower-case hex digits")
    return bytes.fromhex(name)


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise HTTPException(400, f"{text[:32]!r} is not a number")
    return int(text)


async def _away(_request: Request, _error: Exception) -> Response:
    """The disk is in trouble, or nothing was ever written."""
    return JSONResponse({"error": "the database cannot be read"}, 503, headers=_FLEETING)


async def _damaged(site: Site, request: Request, error: Exception) -> Response:
    """The disk has changed a record: whoever asked for it hears so, all others get their answers."""
    detail = "a stored record is damaged; tally-gateway fsck says which"
    log.error("a stored record is damaged", path=request.url.path, reason=str(error))
    if "text/html" in request.headers.get("accept", ""):
        return page.problem(site, request, 503, detail)
    return JSONResponse({"error": detail}, 503, headers=_FLEETING)


async def _refusal(site: Site, request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404 and "text/html" in request.headers.get("accept", ""):
        return page.problem(site, request, 404, error.detail)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
