"""The RFC 9162 tree over the ids of all confirmed blocks, kept as its complete subtrees.

A node (level, place) covers the leaves place * 2^level up to (place + 1) * 2^level; it is written
once, when its last leaf comes, and never changes. So a root or a path, of today's tree or of any
smaller one, costs about as many reads as the tree has levels. Everything here is pure:
`read(level, place)` gives the hash of a complete node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from tallystick import merkle

__all__ = ["Read", "grow", "path", "root", "subtree"]

Read: TypeAlias = Callable[[int, int], bytes]


def grow(read: Read, size: int, entries: Iterable[bytes]) -> dict[tuple[int, int], bytes]:
    """The nodes that complete when `entries` follow the `size` leaves that are there."""
    new: dict[tuple[int, int], bytes] = {}
    for index, entry in enumerate(entries, size):
        level, place, value = 0, index, merkle.leaf_hash(entry)
        new[level, place] = value
        while place & 1:
            left = new.get((level, place - 1)) or read(level, place - 1)
            level, place, value = level + 1, place >> 1, merkle.node_hash(left, value)
            new[level, place] = value
    return new


def root(read: Read, size: int) -> bytes:
    """The root over the first `size` leaves."""
    return _subtree(read, 0, size) if size else merkle.EMPTY_ROOT


def path(read: Read, index: int, size: int) -> list[bytes]:
    """The inclusion path of leaf `index` in the tree of the first `size` leaves."""
    return merkle.inclusion_path(
        (), index, size=size, subtree=lambda start, end: _subtree(read, start, end)
    )


def subtree(read: Read) -> Callable[[int, int], bytes]:
    """What `merkle` asks for: the hash over the leaves start..end-1."""
    return lambda start, end: _subtree(read, start, end)


def _subtree(read: Read, start: int, end: int) -> bytes:
    """The hash over the leaves start..end-1, where start is a multiple of the power of two that covers them."""
    level = (end - start).bit_length() - 1
    if end - start == 1 << level:
        return read(level, start >> level)
    middle = start + (1 << level)
    return merkle.node_hash(_subtree(read, start, middle), _subtree(read, middle, end))
