"""The boards that a gateway knows, as its HTTP side lists them. Nothing of it is signed: for a look, not a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tallystick_host import source
from tallystick_host.errors import UndoneError
from tallystick_host.words import rfc3339, shown

__all__ = ["GatewayBoard", "listed"]

_PAGES: Final = 1_000


@dataclass(frozen=True)
class GatewayBoard:
    """`last_seen`: Unix seconds of the gateway's clock, None if it has not heard the board yet."""

    id: str
    name: str | None
    enrolled: bool
    last_seen: int | None

    def facts(self) -> dict[str, object]:
        """For `--json`."""
        return dict(vars(self))

    def row(self) -> tuple[str, str, str, str]:
        """For a table: id, name, when it was heard last, what is wrong."""
        heard = "never" if self.last_seen is None else rfc3339(self.last_seen)
        return self.id, self.name or "-", heard, "" if self.enrolled else "not enrolled any more"


def listed(url: str) -> Iterator[GatewayBoard]:
    """All of them, in the order of their ids."""
    after = ""
    for _ in range(_PAGES):
        page = _page(url, after)
        for entry in page["devices"]:
            yield _board(url, entry)
        if not page.get("more") or not page["devices"]:
            return
        newest = str(page["devices"][-1]["id"])
        if newest <= after:  # stops a server that never ends
            return
        after = newest


def _page(url: str, after: str) -> dict[str, list[dict[str, object]]]:
    try:
        page = json.loads(source.devices(url, after))
        if isinstance(page, dict) and isinstance(page.get("devices"), list):
            return page
    except (ValueError, RecursionError):
        pass
    raise _strange(url)


def _board(url: str, entry: object) -> GatewayBoard:
    if isinstance(entry, dict):
        id, name = entry.get("id"), entry.get("name")
        enrolled, seen = entry.get("enrolled"), entry.get("last_seen")
        texts = isinstance(id, str) and (name is None or isinstance(name, str))
        if texts and isinstance(enrolled, bool) and (seen is None or type(seen) is int):
            return GatewayBoard(
                shown(str(id)), None if name is None else shown(str(name)), enrolled, seen
            )
    raise _strange(url)


def _strange(url: str) -> UndoneError:
    return UndoneError(
        f"{shown(url)!r} gives no list of boards",
        code="source.form",
        hint="is it a gateway of ours? tally-gateway run --http HOST:PORT",
    )
