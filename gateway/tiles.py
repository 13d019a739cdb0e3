"""Tiles on disk, as C2SP tlog-tiles lays them out, and the tree that they hold.

::

    tile/<L>/<N>             256 hashes: roots of the subtrees of 256^L leaves
    tile/<L>/<N>.p/<W>       the first W of them, where the tree ends
    tile/entries/<N>[.p/<W>] the leaves' bytes, each after its length in 16 bits

A narrower partial tile is the start of a wider one, so only the newest is kept and every older one
is cut from it. What is missing or torn is computed again from the leaves, which `Entries` gives
from the database.

Any subtree's root costs one tile read for each of its full parts: O(log n) reads for a path or a
root of any size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from tallystick import merkle, shared_inclusion
from tallystick.merkle import HASH_BYTES

__all__ = ["WIDTH", "Entries", "Tiles", "bundle", "tile_path"]

WIDTH: Final = 256
HEIGHT: Final = 8
FULL_BYTES: Final = WIDTH * HASH_BYTES
_WIDTH_NAME: Final = re.compile(r"[1-9][0-9]{0,2}")

Entries: TypeAlias = Callable[[int, int], Sequence[bytes]]


def tile_path(level: int | str, n: int, width: int = WIDTH) -> str:
    """`tile/0/x001/x234/067` (C2SP tlog-tiles, Merkle Tree); `level` is a number or `entries`."""
    digits = f"{n:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    path = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
    return f"tile/{level}/{path}" + (f".p/{width}" if width < WIDTH else "")


def bundle(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry after its length, 16 bits big-endian."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


class Tiles:
    """The tree in the tiles below `folder`; reads only. `entries(start, end)` gives leaves by
    index.
    """

    def __init__(self, folder: Path, entries: Entries) -> None:
        self.folder = folder
        self.entries = entries
        self._read: dict[tuple[int, int], bytes] | None = None  # tiles of the path in hand

    def hashes(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of a tile, 32 bytes each."""
        length = width * HASH_BYTES
        known = self._read
        data = known.get((level, n), b"") if known is not None else b""
        if len(data) < length:
            held = self.held(level, n, length)
            data = held if held is not None else self.derived(level, n, width)
            if known is not None:
                known[level, n] = data
        return data[:length]

    def held(self, level: int, n: int, length: int) -> bytes | None:
        """The widest tile on disk, None if it has not `length` bytes."""
        data = _content(self.folder / tile_path(level, n))
        if data is None:
            widths = partials(self.folder, level, n)
            data = _content(self.folder / tile_path(level, n, max(widths))) if widths else None
        whole = data is not None and len(data) <= FULL_BYTES and len(data) % HASH_BYTES == 0
        return data if data is not None and whole and len(data) >= length else None

    def derived(self, level: int, n: int, width: int) -> bytes:
        """The same from what lies below it: the leaves' bytes, or the tiles of the level below."""
        first = n * WIDTH
        if level == 0:
            return b"".join(merkle.leaf_hash(e) for e in self.entries(first, first + width))
        below = (self.hashes(level - 1, i, WIDTH) for i in range(first, first + width))
        return b"".join(_root(tile) for tile in below)

    def subtree(self, start: int, end: int) -> bytes:
        """The root over the leaves start..end-1, a range that stands in an RFC 9162 tree."""
        span = end - start
        if span <= 0:
            return merkle.EMPTY_ROOT
        if span & (span - 1):
            middle = start + (1 << (span.bit_length() - 1))
            return merkle.node_hash(self.subtree(start, middle), self.subtree(middle, end))
        level, rest = divmod(span.bit_length() - 1, HEIGHT)
        n, offset = divmod(start >> (HEIGHT * level), WIDTH)
        count = 1 << rest
        return _root(self.hashes(level, n, offset + count)[offset * HASH_BYTES :])

    def root_at(self, size: int) -> bytes:
        """The root of the tree of the first `size` leaves."""
        return self.subtree(0, size)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The path of leaf `index` in the tree of `size` (RFC 9162, 2.1.3)."""
        with self._reading():
            return merkle.inclusion_path((), index, subtree=self.subtree, size=size)

    def shared_inclusion(self, indices: Sequence[int], size: int) -> list[bytes]:
        """The hashes that lead the leaves `indices` together to the root of the tree of `size`."""
        with self._reading():
            return shared_inclusion.prove(indices, size, self.subtree)

    def consistency(self, size1: int, size2: int) -> list[bytes]:
        """The proof that the tree of `size1` grew into that of `size2` (RFC 9162, 2.1.4)."""
        with self._reading():
            return merkle.consistency_path((), size1, subtree=self.subtree, size=size2)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Read no tile twice for one path."""
        self._read = {}
        try:
            yield
        finally:
            self._read = None


def partials(folder: Path, level: int | str, n: int) -> list[int]:
    """The widths of a tile's partial files below `folder`."""
    try:
        names = [path.name for path in (folder / tile_path(level, n, 1)).parent.iterdir()]
    except OSError:
        return []
    return [int(name) for name in names if _WIDTH_NAME.fullmatch(name) and int(name) < WIDTH]


def split(hashes: bytes) -> list[bytes]:
    """A tile's bytes as a list of hashes."""
    return [hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)]


def _content(path: Path) -> bytes | None:
    """The file's bytes; None if it is not there, or was deleted because a wider one took its place."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _root(hashes: bytes) -> bytes:
    return merkle.root(split(hashes))
