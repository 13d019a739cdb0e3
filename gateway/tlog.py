"""Somebody else's log, as it shows itself: its checkpoint and its hash tiles (C2SP tlog-tiles), over
HTTP or from a folder. Nothing of it is trusted: what is read is compared with signed roots.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import httpx

from tallystick import limits, merkle
from tallystick_gateway.tiles import FULL_BYTES, HEIGHT, WIDTH, Tiles, tile_path

__all__ = ["Source", "UnreachableError", "open_source", "tree"]

TIMEOUT_S: Final = 15.0


class UnreachableError(Exception):
    """Something that the log should show cannot be had; says nothing of what it has signed."""


class Source(Protocol):
    """Where a log shows itself."""

    def get(self, path: str, most: int) -> bytes | None:
        """The bytes at `path`, None if there is nothing; `UnreachableError` if that is not known
        or there are more than `most`.
        """
        ...


class FolderSource:
    """A folder with `checkpoint` and `tile/`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, path: str, most: int) -> bytes | None:
        """See `Source`."""
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(most + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnreachableError(f"{path}: {error.strerror}") from error
        if len(data) > most:
            raise UnreachableError(f"{path}: more than {most} bytes")
        return data


class HttpSource:
    """A URL prefix."""

    def __init__(self, prefix: str, ca_file: str | None = None) -> None:
        context = ssl.create_default_context(cafile=ca_file)
        self._prefix = prefix.rstrip("/")
        # no redirects: a log is where its operator says it is
        self._client = httpx.Client(timeout=TIMEOUT_S, verify=context, trust_env=False)

    def get(self, path: str, most: int) -> bytes | None:
        """See `Source`."""
        try:
            with self._client.stream("GET", f"{self._prefix}/{path}") as answer:
                if answer.status_code in (404, 410):
                    return None
                if answer.status_code != httpx.codes.OK:
                    raise UnreachableError(f"{path}: HTTP {answer.status_code}")
                data = b""
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > most:
                        raise UnreachableError(f"{path}: more than {most} bytes")
                return data
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnreachableError(f"{path}: {type(error).__name__}: {error}") from error


def open_source(where: str, ca_file: str | None = None) -> Source:
    """A log's URL prefix, or a folder."""
    if where.startswith(("http://", "https://")):
        return HttpSource(where, ca_file)
    folder = Path(where)
    if not folder.is_dir():
        raise UnreachableError(f"{where!r} is neither a folder nor an http:// or https:// address")
    # a gateway's data folder holds its log in `log`
    return FolderSource(folder / "log" if (folder / "log").is_dir() else folder)


class _Shown(Tiles):
    """The tree of `size` leaves in the tiles that a source shows."""

    def __init__(self, source: Source, size: int) -> None:
        super().__init__(Path(), _no_entries)
        self._source, self._size = source, size
        self._kept: dict[tuple[int, int], bytes] = {}

    def held(self, level: int, n: int, length: int) -> bytes | None:
        """The tile as the tree of this size has it: full, or as wide as the tree is there."""
        known = self._kept.get((level, n))
        if known is None:
            known = self._kept[level, n] = self._fetch(level, n)
        return known if len(known) >= length else None

    def derived(self, level: int, n: int, width: int) -> bytes:
        """Never: what is missing is missing."""
        raise UnreachableError(f"{tile_path(level, n, width)} does not reach as far")

    def _fetch(self, level: int, n: int) -> bytes:
        width = min(WIDTH, (self._size >> (HEIGHT * level)) - n * WIDTH)
        names = [tile_path(level, n, width)]
        if width < WIDTH:
            names.append(tile_path(level, n))  # it may have been filled meanwhile
        for name in names:
            data = self._source.get(name, FULL_BYTES)
            if data is not None:
                if len(data) % merkle.HASH_BYTES or len(data) < width * merkle.HASH_BYTES:
                    raise UnreachableError(f"{name}: {len(data)} bytes are no such tile")
                return data
        raise UnreachableError(f"{names[0]} is not there")


def tree(source: Source, size: int) -> Tiles:
    """The tree of `size` leaves as `source` shows it; reading it raises `UnreachableError`."""
    if size > limits.TREE_SIZE:
        raise UnreachableError(f"a tree of {size} leaves")
    return _Shown(source, size)


def _no_entries(_start: int, _end: int) -> Sequence[bytes]:
    raise UnreachableError("an audit reads hash tiles, not entries")
