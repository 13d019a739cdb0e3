"""The RFC 9162 tree over the ids of all confirmed blocks, kept as its complete subtrees.

A node (level, place) covers the leaves place * 2^level up to (place + 1) * 2^level; it is written
once, when its last leaf comes, and never changes. So a root or a path, of today's tree or of any
smaller one, costs about as many reads as the tree has levels. `Frontier` is the right edge of the
tree: with it the tree grows, and its root is known, without a read. Everything here is pure:
`read(level, place)` gives the hash of a complete node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from tallystick import merkle

__all__ = ["Frontier", "Read", "consistency", "number", "path", "root"]

Read: TypeAlias = Callable[[int, int], bytes]


def number(level: int, place: int) -> int:
    """The number of a node when all nodes are counted from left to right: it grows with the tree."""
    return (place << (level + 1)) + (1 << level) - 1


class Frontier:
    """The complete subtrees from which the root of a tree of `size` leaves is made, by level."""

    def __init__(self, size: int = 0, read: Read | None = None) -> None:
        self.size = size
        self._peaks: dict[int, bytes] = {}
        if read is not None:
            self._peaks = {
                level: read(level, (size >> (level + 1)) << 1)
                for level in range(size.bit_length())
                if size >> level & 1
            }

    def copy(self) -> Frontier:
        """One that grows apart from this one."""
        other = Frontier(self.size)
        other._peaks = dict(self._peaks)
        return other

    def grow(self, entries: Iterable[bytes]) -> list[tuple[int, int, bytes]]:
        """Append `entries`; the nodes of two and more leaves that are complete now: (level, place, hash)."""
        new: list[tuple[int, int, bytes]] = []
        peaks = self._peaks
        for entry in entries:
            level, place, value = 0, self.size, merkle.leaf_hash(entry)
            while place & 1:
                value = merkle.node_hash(peaks.pop(level), value)
                level, place = level + 1, place >> 1
                new.append((level, place, value))
            peaks[level] = value
            self.size += 1
        return new

    @property
    def root(self) -> bytes:
        """The root over all leaves."""
        right: bytes | None = None
        for level in sorted(self._peaks):
            left = self._peaks[level]
            right = left if right is None else merkle.node_hash(left, right)
        return merkle.EMPTY_ROOT if right is None else right


def root(read: Read, size: int) -> bytes:
    """The root over the first `size` leaves."""
    return _subtree(read, 0, size) if size else merkle.EMPTY_ROOT


def path(read: Read, index: int, size: int) -> list[bytes]:
    """The inclusion path of leaf `index` in the tree of the first `size` leaves."""
    return merkle.inclusion_path(
        (), index, size=size, subtree=lambda start, end: _subtree(read, start, end)
    )


def consistency(read: Read, size1: int, size2: int) -> list[bytes]:
    """The proof that the tree of `size2` leaves starts with that of `size1` (RFC 9162, 2.1.4)."""
    return merkle.consistency_path(
        (), size1, size=size2, subtree=lambda start, end: _subtree(read, start, end)
    )


def _subtree(read: Read, start: int, end: int) -> bytes:
    """The hash over the leaves start..end-1, where start is a multiple of the power of two that covers them."""
    level = (end - start).bit_length() - 1
    if end - start == 1 << level:
        return read(level, start >> level)
    middle = start + (1 << level)
    return merkle.node_hash(_subtree(read, start, middle), _subtree(read, middle, end))
