"""What the ledger's HTTP side answers, one method a path (`tallystick_ledger.http` lists them)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tallystick import cbor
from tallystick.milestone import Confirmed
from tallystick_ledger import metrics, views
from tallystick_ledger.folder import Folder
from tallystick_ledger.limits import ANSWER_BYTES, EXPORT_BLOCKS, PAGE_BLOCKS, STATEMENTS
from tallystick_ledger.reader import Reader

__all__ = ["Pages"]

_CBOR: Final = "application/cbor"
_CBOR_SEQUENCE: Final = "application/cbor-seq"  # RFC 8742
_COSE: Final = "application/cose"
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


class Pages:
    """Each method sees the database at one moment."""

    def __init__(self, folder: Folder, connected: Callable[[], bool]) -> None:
        self._folder = folder
        self._connected = connected

    def health(self, _: Request) -> Response:
        facts = self.facts()
        return JSONResponse(facts, 503 if facts["status"] == "fork" else 200)

    def metrics(self, _: Request) -> Response:
        return Response(metrics.text(self.facts()), media_type=metrics.CONTENT_TYPE)

    def facts(self) -> dict[str, Any]:
        """How it stands, for `/healthz` and `/metrics`."""
        with self._reader() as reader:
            head = reader.head()
            newest = reader.milestone(head.index)
            forks = reader.forks()
            facts: dict[str, Any] = {
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
            return facts

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
                return Response(self.carried(confirmed).encode(), media_type=_CBOR)
            if reader.position(name) is not None:
                raise HTTPException(410, "block.pruned: it was here; its bytes were pruned")
            if reader.has(name):
                raise _missing("block.pending", "attached; no milestone has confirmed it yet")
        raise _missing("block.unknown", f"no block {name.hex()} here")

    def carried(self, confirmed: Confirmed) -> Confirmed:
        """What else there is to say of a confirmed block."""
        return confirmed

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


def _missing(code: str, detail: str) -> HTTPException:
    return HTTPException(404, f"{code}: {detail}")


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
