"""One Merkle proof for many leaves of one tree (docs/format.md, section 11, part 14).

A path for each of sixty neighbours repeats nearly the same twenty hashes sixty times. Here the hashes that they share
stand once, those that can be computed from the leaves not at all: the roots of the subtrees that hold none of the
leaves, from left to right. The tree is that of RFC 9162, 2.1.

>>> hashes = [merkle.leaf_hash(bytes([n])) for n in range(5)]
>>> shared = prove([1, 2], 5, lambda start, end: merkle.root(hashes[start:end]))
>>> verify({1: hashes[1], 2: hashes[2]}, 5, shared, merkle.root(hashes))
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from tallystick import limits, merkle
from tallystick.errors import PathError
from tallystick.merkle import HASH_BYTES, Subtree, node_hash

__all__ = ["path", "prove", "verify"]


def prove(indices: Sequence[int], size: int, subtree: Subtree) -> list[bytes]:
    """The hashes that lead the leaves `indices` to the root of the tree of `size`; `subtree(start, end)` gives the root
    over the leaves start..end-1.
    """
    if not indices or not 0 <= min(indices) <= max(indices) < size:
        raise PathError("merkle.index", f"leaves that are not in a tree of {size}")
    return list(_siblings(sorted(set(indices)), 0, size, subtree))


def _siblings(indices: list[int], start: int, end: int, subtree: Subtree) -> Iterator[bytes]:
    if not indices:
        yield subtree(start, end)
    elif len(indices) < end - start:
        middle = start + merkle.split(end - start)
        at = bisect_left(indices, middle)
        yield from _siblings(indices[:at], start, middle, subtree)
        yield from _siblings(indices[at:], middle, end, subtree)


def verify(leaves: Mapping[int, bytes], size: int, hashes: Sequence[bytes], root: bytes) -> None:
    """Return if the leaf hashes, by index, and `hashes` lead to the tree (`size`, `root`); `PathError` otherwise."""
    if not 0 < size <= limits.TREE_SIZE:
        raise PathError("merkle.size", f"{size} is not the size of a tree with leaves")
    if not leaves or not 0 <= min(leaves) <= max(leaves) < size:
        raise PathError("merkle.index", f"leaves that are not in a tree of {size}")
    if any(len(one) != HASH_BYTES for one in (root, *leaves.values(), *hashes)):
        raise PathError("merkle.hash-length", "a hash has 32 bytes")
    order = sorted(leaves)
    values = [leaves[index] for index in order]
    left = iter(hashes)

    def over(start: int, end: int, first: int, last: int) -> bytes:
        """The root over the leaves start..end-1, of which order[first:last] are ours."""
        if first == last:
            try:
                return next(left)
            except StopIteration:
                raise PathError("merkle.path-length", "hashes are missing") from None
        if last - first == end - start:  # all of them: nothing to take
            return merkle.root(values[first:last])
        middle = start + merkle.split(end - start)
        at = bisect_left(order, middle, first, last)
        return node_hash(over(start, middle, first, at), over(middle, end, at, last))

    found = over(0, size, 0, len(order))
    # stops hashes that lead nowhere from being carried along
    if next(left, None) is not None:
        raise PathError("merkle.path-length", "hashes are left over")
    if found != root:
        raise PathError("merkle.root", "the records do not lead to the root")


def path(
    index: int, leaves: Mapping[int, bytes], size: int, hashes: Sequence[bytes]
) -> list[bytes]:
    """The inclusion path of leaf `index` alone (RFC 9162, 2.1.3), out of a proof for many. `leaves` are the leaf hashes
    of them all, by index. `PathError` if `hashes` are too few; whether they lead to the root is another question.
    """
    if not 0 < size <= limits.TREE_SIZE or index not in leaves or max(leaves) >= size:
        raise PathError("merkle.index", f"leaf {index} is none of these in a tree of {size}")
    order = sorted(leaves)
    left = iter(hashes)
    siblings: list[bytes] = []

    def over(start: int, end: int) -> bytes:
        first, last = bisect_left(order, start), bisect_left(order, end)
        if first == last:
            try:
                return next(left)
            except StopIteration:
                raise PathError("merkle.path-length", "hashes are missing") from None
        if end - start == 1:
            return leaves[start]
        middle = start + merkle.split(end - start)
        below, above = over(start, middle), over(middle, end)
        if start <= index < end:
            siblings.append(above if index < middle else below)
        return node_hash(below, above)

    over(0, size)
    return siblings
