"""The Merkle log: appends leaves, writes their tiles, and knows its own root.

The database is the truth; this is derived from it after each commit, and before a checkpoint that
covers it is signed.

1. A full tile is written once: a temporary file, fsync, rename. Partial tiles are written for
   published sizes only.
2. The right edge stays in memory: one unfinished tile for each level, and the stack of full
   subtrees. So an append costs one to two hashes (amortised) and the root one hash for each binary
   digit of the size.
3. `Log.open` puts back what a crash has left out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tallystick import merkle
from tallystick_gateway.folder import sweep, write_whole
from tallystick_gateway.tiles import (
    FULL_BYTES,
    HEIGHT,
    WIDTH,
    Entries,
    Tiles,
    bundle,
    partials,
    split,
    tile_path,
)

__all__ = ["Log"]

# Full bundles that are read at a start. Older ones were whole when the one after them was written;
# `fsck` reads them all.
_BUNDLES_READ: Final = 16


class Log(Tiles):
    """The log as its one writer sees it. `size` counts leaves."""

    def __init__(self, folder: Path, entries: Entries) -> None:
        super().__init__(folder, entries)
        self.size = 0
        self._edge: list[list[bytes]] = []  # by level: the hashes of its unfinished tile
        self._stack: list[bytes] = []  # roots of the full subtrees, largest first
        self._partials: set[Path] = set()  # partial files on disk
        self._written: set[Path] = set()  # those of them that are ours and whole

    @classmethod
    def open(
        cls,
        folder: Path,
        entries: Entries,
        size: int,
        *,
        rebuild: bool = False,
        progress: Callable[[int, int], None] = lambda _done, _whole: None,
    ) -> Log:
        """The log of `size` leaves; tiles that are missing or torn are written again, with
        `rebuild` all of them. `progress(done, all)` counts leaves.
        """
        log = cls(folder, entries)
        log._restore(size, rebuild, progress)
        return log

    def held(self, level: int, n: int, length: int) -> bytes | None:
        """The unfinished tiles come from memory, all others from disk."""
        if n == self.size >> (HEIGHT * (level + 1)) and level < len(self._edge):
            edge = b"".join(self._edge[level])
            return edge if len(edge) >= length else None
        return super().held(level, n, length)

    def append(self, leaves: Sequence[bytes]) -> None:
        """Take committed leaves into the tree; full tiles are on disk when it returns."""
        for leaf in leaves:
            leaf_hash = merkle.leaf_hash(leaf)
            self._push(leaf_hash)
            self._into_tile(0, leaf_hash)
            self.size += 1

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self._stack:
            return merkle.EMPTY_ROOT
        root = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            root = merkle.node_hash(left, root)
        return root

    def publish(self) -> None:
        """Write the partial tiles of the present size, which a checkpoint is about to cover."""
        fresh: set[Path] = set()
        for level, edge in enumerate(self._edge):
            if edge:
                n = self.size >> (HEIGHT * (level + 1))
                fresh.add(self._write(tile_path(level, n, len(edge)), b"".join(edge)))
        width = self.size % WIDTH
        if width:
            name = tile_path("entries", self.size // WIDTH, width)
            fresh.add(self._write(name, bundle(self.entries(self.size - width, self.size))))
        for path in self._partials - fresh:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # another width is in there
                path.parent.rmdir()
        self._partials = self._written = fresh

    # ---- the right edge

    def _push(self, subtree: bytes) -> None:
        index = self.size
        while index & 1:
            subtree = merkle.node_hash(self._stack.pop(), subtree)
            index >>= 1
        self._stack.append(subtree)

    def _into_tile(self, level: int, value: bytes) -> None:
        if level == len(self._edge):
            self._edge.append([])
        edge = self._edge[level]
        edge.append(value)
        if len(edge) < WIDTH:
            return
        n = self.size >> (HEIGHT * (level + 1))
        if level == 0:
            first = n * WIDTH
            self._write(tile_path("entries", n), bundle(self.entries(first, first + WIDTH)))
        self._write(tile_path(level, n), b"".join(edge))
        self._edge[level] = []
        self._into_tile(level + 1, merkle.root(edge))

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        if path not in self._written:
            write_whole(path, data)
        return path

    # ---- after a start

    def _restore(self, size: int, rebuild: bool, progress: Callable[[int, int], None]) -> None:
        self.size = size
        sweep(self.folder)
        self._restore_bundles(size // WIDTH, rebuild, progress)
        level = 0
        while size >> (HEIGHT * level):
            full, width = divmod(size >> (HEIGHT * level), WIDTH)
            there = _lengths(self.folder, level)
            for n in range(full):
                name = tile_path(level, n)
                if rebuild or there.get(name) != FULL_BYTES:
                    write_whole(self.folder / name, self.derived(level, n, WIDTH))
            self._edge.append(split(self.derived(level, full, width)))
            level += 1
        self._stack = self._subtrees(size)
        self._find_partials()
        if rebuild:
            self.publish()  # the newest checkpoint needs them

    def _restore_bundles(
        self, full: int, rebuild: bool, progress: Callable[[int, int], None]
    ) -> None:
        there = _lengths(self.folder, "entries")
        for n in range(full):
            progress(n, full)
            name = tile_path("entries", n)
            if not rebuild and n < full - _BUNDLES_READ and there.get(name):
                continue
            path = self.folder / name
            data = bundle(self.entries(n * WIDTH, n * WIDTH + WIDTH))
            if rebuild or _content(path) != data:
                write_whole(path, data)

    def _subtrees(self, size: int) -> list[bytes]:
        stack: list[bytes] = []
        start = 0
        for height in range(size.bit_length() - 1, -1, -1):
            if size >> height & 1:
                stack.append(self.subtree(start, start + (1 << height)))
                start += 1 << height
        return stack

    def _find_partials(self) -> None:
        """Remember the partial files of the edge, so that the next checkpoint removes them, with what
        a crash has torn put right; those of tiles that are full by now go.
        """
        levels: list[int | str] = [*range(len(self._edge)), "entries"]
        for level in levels:
            above = 0 if isinstance(level, str) else level
            n = self.size >> (HEIGHT * (above + 1))
            here = (self.folder / tile_path(level, n, 1)).parent
            for folder in (self.folder / "tile" / str(level)).rglob("*.p"):
                if folder != here:
                    shutil.rmtree(folder, ignore_errors=True)
            for width in partials(self.folder, level, n):
                path = self.folder / tile_path(level, n, width)
                right = self._partial(level, n, width)
                if right is None:
                    path.unlink(missing_ok=True)
                    continue
                if _content(path) != right:
                    write_whole(path, right)
                self._partials.add(path)

    def _partial(self, level: int | str, n: int, width: int) -> bytes | None:
        """What the partial tile of this width holds; None if the tree does not reach as far."""
        if isinstance(level, str):
            first = n * WIDTH
            return (
                bundle(self.entries(first, first + width)) if first + width <= self.size else None
            )
        edge = self._edge[level]
        return b"".join(edge[:width]) if width <= len(edge) else None


def _lengths(folder: Path, level: int | str) -> dict[str, int]:
    """Bytes of each full tile or bundle of a level, by its `tile_path`. A start looks at two for every 256
    leaves: so a folder's names are read at once.
    """
    found: dict[str, int] = {}
    todo = [f"tile/{level}"]
    while todo:
        name = todo.pop()
        try:
            entries = os.scandir(folder / name)
        except OSError:
            continue
        with entries:
            for entry in entries:
                inner = f"{name}/{entry.name}"
                if entry.is_file():
                    found[inner] = entry.stat().st_size
                elif not entry.name.endswith(".p"):
                    todo.append(inner)
    return found


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
