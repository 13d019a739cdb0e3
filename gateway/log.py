"""The Merkle log: appends leaves, writes their tiles, and knows its own root.

The database is the truth; this is derived from it after each commit, and before a checkpoint that
covers it is signed.

1. A full tile is written once: a temporary file, then a rename. Partial tiles are written for
   published sizes only.
2. A power cut may take what was written last. So full tiles are made durable many at a time, and a
   mark says how far they are (see `mark`); `Log.open` computes all that is newer again, compares, and
   puts back what is missing or torn.
3. Where a tile and the database contradict each other in a few leaves, the newest checkpoint decides
   which of them the disk has changed: stops one damaged record from taking the proofs of all others
   with it.
4. The right edge stays in memory: one unfinished tile for each level, and the stack of full
   subtrees. So an append costs one to two hashes (amortised) and the root one hash for each binary
   digit of the size.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from tallystick import merkle
from tallystick_gateway.folder import sweep, sync_files, sync_folder, write_whole
from tallystick_gateway.mark import Mark, forget_mark, read_mark, write_mark
from tallystick_gateway.tiles import (
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

log = structlog.get_logger()

# Leaves from one mark to the next: what a start computes again at the most, in some 0.1 s.
MARK_LEAVES: Final = 16_384
_LOOSE: Final = 2 * MARK_LEAVES // WIDTH  # files
_BELIEVED: Final = 8  # hashes of a tile that may differ from the database and be right


class Log(Tiles):
    """The log as its one writer sees it. `size` counts leaves."""

    def __init__(self, folder: Path, entries: Entries) -> None:
        super().__init__(folder, entries)
        self.size = 0
        self._edge: list[list[bytes]] = []  # by level: the hashes of its unfinished tile
        self._stack: list[bytes] = []  # roots of the full subtrees, largest first
        self._partials: set[Path] = set()  # partial files on disk
        self._written: set[Path] = set()  # those of them that are ours and whole
        self._mark = 0  # leaves whose full tiles and bundles are durable
        self._loose: list[Path] = []  # full tiles and bundles that are newer
        self._believed: list[int] = []  # leaves whose hash is the tile's, not the database's

    @classmethod
    def open(
        cls,
        folder: Path,
        entries: Entries,
        size: int,
        *,
        signed: tuple[int, bytes] | None = None,
        rebuild: bool = False,
        progress: Callable[[int, int], None] = lambda _done, _whole: None,
    ) -> Log:
        """The log of `size` leaves; tiles above the mark that are missing or torn are written again,
        with `rebuild` all there are. `signed`: size and root of the newest checkpoint. `progress(done,
        all)` counts bundles.
        """
        tree = cls(folder, entries)
        tree._restore(size, signed, rebuild, progress)
        return tree

    def held(self, level: int, n: int, length: int) -> bytes | None:
        """The unfinished tiles come from memory, all others from disk."""
        if n == self.size >> (HEIGHT * (level + 1)) and level < len(self._edge):
            edge = b"".join(self._edge[level])
            return edge if len(edge) >= length else None
        return super().held(level, n, length)

    def append(self, leaves: Sequence[bytes]) -> None:
        """Take committed leaves into the tree; full tiles are written when it returns."""
        for leaf in leaves:
            leaf_hash = merkle.leaf_hash(leaf)
            self._push(leaf_hash)
            self._into_tile(0, leaf_hash)
            self.size += 1
        if self.size - self._mark >= MARK_LEAVES:
            self._set_mark()

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
                fresh.add(self._write_partial(tile_path(level, n, len(edge)), b"".join(edge)))
        width = self.size % WIDTH
        if width:
            name = tile_path("entries", self.size // WIDTH, width)
            entries = self.entries(self.size - width, self.size)
            fresh.add(self._write_partial(name, bundle(entries)))
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

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        write_whole(path, data, durable=False)
        self._loose.append(path)

    def _write_partial(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        if path not in self._written:
            write_whole(path, data, durable=False)
        return path

    # ---- the mark

    def _set_mark(self) -> None:
        """Move the mark to the last full tile."""
        self._harden()
        size = self.size - self.size % WIDTH
        write_mark(self.folder, Mark(size, self.root_at(size)))
        self._mark = size

    def _harden(self) -> None:
        """Make durable what was written since the mark."""
        folders: set[Path] = set()
        for first in range(0, len(self._loose), _LOOSE):
            some = self._loose[first : first + _LOOSE]
            try:
                sync_files(some)
            except OSError:
                # the next attempt would succeed, whether or not the disk has the bytes
                for path in some:
                    path.unlink(missing_ok=True)
                raise
            folders.update(
                folder for path in some for folder in path.relative_to(self.folder).parents
            )
        for folder in folders:
            sync_folder(self.folder / folder)
        self._loose = []

    # ---- after a start

    def _restore(
        self,
        size: int,
        signed: tuple[int, bytes] | None,
        rebuild: bool,
        progress: Callable[[int, int], None],
    ) -> None:
        self.size = size
        folders = sweep(self.folder)
        mark = None if rebuild else read_mark(self.folder)
        # a checkpoint of a longer log decides nothing here, and is dealt with elsewhere
        judge = None if rebuild or signed is None or signed[0] > size else signed
        if mark is None or mark.size > size or not self._restored(mark, judge, progress):
            forget_mark(self.folder)
            if size >= MARK_LEAVES:
                log.info("no mark of whole tiles: looking at all of them", leaves=size)
            self._restored(Mark(0, merkle.EMPTY_ROOT), judge, progress, rebuild=rebuild)
        self._stack = self._subtrees(size)
        self._find_partials(folder for folder in folders if folder.name.endswith(".p"))
        self.publish()  # the newest checkpoint needs them, and they were not durable
        if size - self._mark >= MARK_LEAVES:
            self._set_mark()

    def _restored(
        self,
        mark: Mark,
        judge: tuple[int, bytes] | None,
        progress: Callable[[int, int], None],
        *,
        rebuild: bool = False,
    ) -> bool:
        """Restore what is above the mark; False if the tiles below it have another root."""
        self._restore_above(mark.size, rebuild, progress, believe=judge[0] if judge else 0)
        if self._believed and judge is not None:
            if self.root_at(judge[0]) == judge[1]:
                log.error("a stored record is damaged", leaves=self._believed, hint="run fsck")
            else:
                self._restore_above(mark.size, rebuild, progress)
        return self.root_at(mark.size) == mark.root

    def _restore_above(
        self,
        mark: int,
        rebuild: bool,
        progress: Callable[[int, int], None],
        *,
        believe: int = 0,
    ) -> None:
        """`believe`: where a tile differs from the database in a few of so many leaves, the tile counts."""
        self._mark, self._edge, self._loose, self._believed = mark, [], [], []
        full, width = divmod(self.size, WIDTH)
        for n in range(mark // WIDTH, full):
            progress(n, full)
            entries = self.entries(n * WIDTH, n * WIDTH + WIDTH)
            hashes = self._leaf_hashes(n, entries, believe)
            self._put_back(tile_path(0, n), hashes, rebuild)
            if not self._believed or self._believed[-1] < n * WIDTH:
                self._put_back(tile_path("entries", n), bundle(entries), rebuild)
        if self.size:
            edge = self.entries(full * WIDTH, self.size)
            self._edge.append(split(self._leaf_hashes(full, edge, believe)))
        level = 1
        while self.size >> (HEIGHT * level):
            full, width = divmod(self.size >> (HEIGHT * level), WIDTH)
            for n in range(mark >> (HEIGHT * (level + 1)), full):
                self._put_back(tile_path(level, n), self.derived(level, n, WIDTH), rebuild)
            self._edge.append(split(self.derived(level, full, width)))
            level += 1

    def _leaf_hashes(self, n: int, entries: Sequence[bytes], believe: int) -> bytes:
        """The hashes of bottom tile `n`, whose leaves these are, or what the disk has in their place."""
        right = split(b"".join(map(merkle.leaf_hash, entries)))
        if believe > n * WIDTH:
            held = split(Tiles.held(self, 0, n, 0) or b"")[: believe - n * WIDTH]
            others = [i for i, (a, b) in enumerate(zip(held, right, strict=False)) if a != b]
            if len(others) <= _BELIEVED:  # a torn tile differs in more
                self._believed += [n * WIDTH + i for i in others]
                for i in others:
                    right[i] = held[i]
        return b"".join(right)

    def _put_back(self, name: str, right: bytes, rebuild: bool) -> None:
        path = self.folder / name
        if rebuild or _content(path) != right:
            write_whole(path, right, durable=False)
        self._loose.append(path)
        if len(self._loose) >= _LOOSE:
            self._harden()

    def _subtrees(self, size: int) -> list[bytes]:
        stack: list[bytes] = []
        start = 0
        for height in range(size.bit_length() - 1, -1, -1):
            if size >> height & 1:
                stack.append(self.subtree(start, start + (1 << height)))
                start += 1 << height
        return stack

    def _find_partials(self, folders: Iterable[Path]) -> None:
        """Remember the partial files of the edge, so that the next checkpoint removes them, with what
        a crash has torn put right; those of tiles that are full by now go.
        """
        edge: dict[Path, tuple[int | str, int]] = {}
        levels: list[int | str] = [*range(len(self._edge)), "entries"]
        for level in levels:
            n = self.size >> (HEIGHT * ((0 if isinstance(level, str) else level) + 1))
            edge[(self.folder / tile_path(level, n, 1)).parent] = level, n
        for folder in folders:
            if folder not in edge:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            level, n = edge[folder]
            for width in partials(self.folder, level, n):
                path = self.folder / tile_path(level, n, width)
                right = self._partial(level, n, width)
                if right is None:
                    path.unlink(missing_ok=True)
                    continue
                if _content(path) != right:
                    write_whole(path, right, durable=False)
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


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
