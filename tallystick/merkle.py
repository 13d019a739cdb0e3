"""Merkle trees of RFC 9162, 2.1, with SHA-256: roots, inclusion and consistency.

leaf = SHA-256(00 || entry), node = SHA-256(01 || left || right), split at the largest power of two
below the size; the root of the empty tree is SHA-256(""). The prefixes stop a node from passing as
a leaf; nothing is ever padded by repeating a leaf (CVE-2012-2459). Every hash has 32 bytes: a path
of other lengths is refused before it is hashed.

>>> hashes = [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]
>>> verify_inclusion(hashes[2], 2, 3, inclusion_path(hashes, 2), root(hashes))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from tallystick import limits
from tallystick.errors import FormatError, LimitError, PathError

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "consistency_path",
    "inclusion_path",
    "leaf_hash",
    "node_hash",
    "root",
    "root_of_path",
    "verify_consistency",
    "verify_inclusion",
]

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
LEAF_PREFIX: Final = b"\x00"
NODE_PREFIX: Final = b"\x01"

Subtree = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf whose entry is `entry`."""
    return sha256(LEAF_PREFIX + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(NODE_PREFIX + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root of the tree over `leaf_hashes` (MTH of RFC 9162, 2.1.1)."""
    if not leaf_hashes:
        return EMPTY_ROOT
    level = list(leaf_hashes)
    while len(level) > 1:
        # an odd one out rises unchanged: the same tree as splitting at powers of two
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) & ~1 :]
    return level[0]


def inclusion_path(
    leaf_hashes: Sequence[bytes],
    index: int,
    *,
    subtree: Subtree | None = None,
    size: int | None = None,
) -> list[bytes]:
    """The path of leaf `index`, from its sibling up (RFC 9162, 2.1.3.1).

    A log too large for one list passes `size` and `subtree(start, end)`, which gives the root over
    the leaves start..end-1; `leaf_hashes` may then be empty.
    """
    size = len(leaf_hashes) if size is None else size
    if not 0 <= index < size:
        raise PathError("merkle.index", f"leaf {index} is not in a tree of {size}")
    subtree = subtree or (lambda start, end: root(leaf_hashes[start:end]))
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    path.reverse()
    return path


def consistency_path(
    leaf_hashes: Sequence[bytes],
    size1: int,
    *,
    subtree: Subtree | None = None,
    size: int | None = None,
) -> list[bytes]:
    """The proof that the tree of the first `size1` leaves grew into this one (RFC 9162, 2.1.4.1)."""
    size = len(leaf_hashes) if size is None else size
    if not 0 <= size1 <= size:
        raise PathError("merkle.size", f"a tree of {size1} cannot have grown into one of {size}")
    if size1 in (0, size):
        return []
    subtree = subtree or (lambda start, end: root(leaf_hashes[start:end]))
    path: list[bytes] = []
    start, end = 0, size
    whole = True  # is leaves start..size1-1 a subtree that the older root already is?
    while size1 != end:
        middle = start + split(end - start)
        if size1 <= middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start, whole = middle, False
    if not whole:
        path.append(subtree(start, end))
    path.reverse()
    return path


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Return if the leaf stands at `index` of the tree (`size`, `root`), else raise `PathError`
    (RFC 9162, 2.1.3.2).
    """
    found = root_of_path(leaf_hash, index, size, path)
    _check_hashes([root])
    if found != root:
        raise PathError("merkle.root", "the path does not lead to the root")


def root_of_path(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that `path` leads to from the leaf at `index` of a tree of `size`; `PathError` if it has another
    length than such a tree has (RFC 9162, 2.1.3.2).
    """
    _check_sizes(index, size)
    if index >= size:
        raise PathError("merkle.index", f"leaf {index} is not in a tree of {size}")
    _check_hashes([leaf_hash, *path])
    fn, sn, r = index, size - 1, leaf_hash
    for p in path:
        if sn == 0:
            raise PathError("merkle.path-length", "the path is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise PathError("merkle.path-length", "the path is too short")
    return r


def verify_consistency(
    size1: int, root1: bytes, size2: int, root2: bytes, path: Sequence[bytes]
) -> None:
    """Return if the tree (`size1`, `root1`) grew into (`size2`, `root2`), else raise `PathError`
    (RFC 9162, 2.1.4.2).

    From size 0 the proof is empty and the older root is that of the empty tree; between equal
    sizes the proof is empty and the roots are equal.
    """
    _check_sizes(size1, size2)
    _check_hashes([root1, root2, *path])
    if size1 > size2:
        raise PathError("merkle.size", f"a tree of {size1} cannot have grown into one of {size2}")
    if size1 in (0, size2):
        if path:
            raise PathError("merkle.path-length", "the path is too long")
        if size1 == 0 and root1 != EMPTY_ROOT:
            raise PathError("merkle.root", "size 0 with a root that is not the empty tree's")
        if size1 == size2 and root1 != root2:
            raise PathError("merkle.root", "one size, two roots")
        return
    hashes = list(path)
    if size1 & (size1 - 1) == 0:
        hashes.insert(0, root1)
    if not hashes:
        raise PathError("merkle.path-length", "the path is too short")
    fn, sn = size1 - 1, size2 - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = hashes[0]
    for c in hashes[1:]:
        if sn == 0:
            raise PathError("merkle.path-length", "the path is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise PathError("merkle.path-length", "the path is too short")
    if fr != root1 or sr != root2:
        raise PathError("merkle.root", "the path does not join the two roots")


def split(size: int) -> int:
    """The largest power of two below `size` (> 1)."""
    return int(1 << ((size - 1).bit_length() - 1))


def _check_sizes(*sizes: int) -> None:
    for size in sizes:
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise FormatError("merkle.size", f"{size!r} is not an index or a size")
        if size > limits.TREE_SIZE:
            raise LimitError("merkle.size", f"{size} is above {limits.TREE_SIZE}")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > limits.PATH_HASHES + 2:
        raise LimitError("merkle.path-length", f"a path of {len(hashes)} hashes")
    for value in hashes:
        # stops an empty root from matching an empty leaf hash, which the RFC's text lets through
        if not isinstance(value, bytes) or len(value) != HASH_BYTES:
            raise FormatError("merkle.hash-length", "a hash has 32 bytes")
