"""Merkle trees of RFC 9162, against the text of the RFC written out literally."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import limits, merkle
from tallystick.errors import FormatError, LimitError, PathError, TallystickError

# Certificate Transparency's reference inputs and the roots of the first n of them
INPUTS = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(entries: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1."""
    n = len(entries)
    if n == 0:
        return sha256(b"").digest()
    if n == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < n:
        k *= 2
    return sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """RFC 9162, 2.1.3.1."""
    n = len(entries)
    if n == 1:
        return []
    k = 1
    while k * 2 < n:
        k *= 2
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: list[bytes], whole: bool) -> list[bytes]:
    """RFC 9162, 2.1.4.1."""
    n = len(entries)
    if m == n:
        return [] if whole else [mth(entries)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*subproof(m, entries[:k], whole), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


ENTRIES = [bytes([i]) * (i % 5) for i in range(64)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]


def test_known_roots() -> None:
    """Our log would be no RFC 9162 log."""
    entries = [bytes.fromhex(one) for one in INPUTS]
    for n, root in enumerate(ROOTS, 1):
        assert root == mth(entries[:n]).hex()
        assert root == merkle.root([merkle.leaf_hash(one) for one in entries[:n]]).hex()
    assert merkle.EMPTY_ROOT == mth([]) == merkle.root([])


@pytest.mark.parametrize("n", range(1, 65))
def test_all_paths(n: int) -> None:
    """A record of some tree size could not be proven."""
    root = merkle.root(LEAVES[:n])
    assert mth(ENTRIES[:n]) == root
    for m in range(n):
        found = merkle.inclusion_path(LEAVES[:n], m)
        assert path(m, ENTRIES[:n]) == found
        merkle.verify_inclusion(LEAVES[m], m, n, found, root)
    for m in range(1, n + 1):
        proof = merkle.consistency_path(LEAVES[:n], m)
        assert subproof(m, ENTRIES[:n], True) == proof
        merkle.verify_consistency(m, merkle.root(LEAVES[:m]), n, root, proof)


def test_by_subtrees() -> None:
    """A log too large for one list could prove nothing."""
    n = 37

    def subtree(start: int, end: int) -> bytes:
        return merkle.root(LEAVES[start:end])

    assert merkle.inclusion_path(LEAVES[:n], 20) == merkle.inclusion_path(
        [], 20, subtree=subtree, size=n
    )
    assert merkle.consistency_path(LEAVES[:n], 20) == merkle.consistency_path(
        [], 20, subtree=subtree, size=n
    )


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 64), st.data())
def test_any_other_inclusion_fails(n: int, data: st.DataObject) -> None:
    """A record could be shown at another place, or one that is not there."""
    m = data.draw(st.integers(0, n - 1))
    found, root = merkle.inclusion_path(LEAVES[:n], m), merkle.root(LEAVES[:n])
    leaf, index = LEAVES[m], m
    what = data.draw(
        st.sampled_from(["leaf", "root", "index", "longer", "shorter", "hash", "swap"])
    )
    if what == "leaf":
        leaf = merkle.leaf_hash(b"other")
    elif what == "root":
        root = bytes(32)
    elif what == "index":
        index = data.draw(st.integers(0, 80).filter(lambda i: i != m))
    elif what == "longer":
        found.insert(data.draw(st.integers(0, len(found))), bytes(32))
    elif what == "shorter" and found:
        del found[data.draw(st.integers(0, len(found) - 1))]
    elif what == "hash" and found:
        at = data.draw(st.integers(0, len(found) - 1))
        found[at] = bytes([found[at][0] ^ 1]) + found[at][1:]
    elif len(set(found)) > 1:
        found = [*found[1:], found[0]]
    else:
        return
    with pytest.raises(PathError):
        merkle.verify_inclusion(leaf, index, n, found, root)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 63), st.data())
def test_any_other_consistency_fails(m: int, data: st.DataObject) -> None:
    """A log could forget records and go unseen."""
    n = data.draw(st.integers(m + 1, 64))
    proof = merkle.consistency_path(LEAVES[:n], m)
    one, two = merkle.root(LEAVES[:m]), merkle.root(LEAVES[:n])
    what = data.draw(st.sampled_from(["one", "two", "longer", "shorter", "hash"]))
    if what == "one":
        one = bytes(32)
    elif what == "two":
        two = bytes(32)
    elif what == "longer":
        proof.insert(data.draw(st.integers(0, len(proof))), bytes(32))
    elif what == "shorter":
        del proof[data.draw(st.integers(0, len(proof) - 1))]
    else:
        at = data.draw(st.integers(0, len(proof) - 1))
        proof[at] = bytes([proof[at][0] ^ 1]) + proof[at][1:]
    with pytest.raises(PathError):
        merkle.verify_consistency(m, one, n, two, proof)


def test_the_edges() -> None:
    """Where the RFC's text leaves a hole, two verifiers would differ."""
    leaf, empty = LEAVES[0], merkle.EMPTY_ROOT
    merkle.verify_inclusion(leaf, 0, 1, [], leaf)
    merkle.verify_consistency(0, empty, 5, merkle.root(LEAVES[:5]), [])
    merkle.verify_consistency(5, leaf, 5, leaf, [])
    refused: list[tuple[str, type[TallystickError], tuple[object, ...]]] = [
        ("merkle.hash-length", FormatError, (b"", 0, 1, [], b"")),
        ("merkle.hash-length", FormatError, (leaf, 0, 2, [bytes(31)], leaf)),
        ("merkle.index", PathError, (leaf, 0, 0, [], empty)),
        ("merkle.index", PathError, (leaf, 1, 1, [], leaf)),
        ("merkle.size", FormatError, (leaf, -1, 1, [], leaf)),
        ("merkle.size", LimitError, (leaf, 0, limits.TREE_SIZE + 1, [], leaf)),
        ("merkle.path-length", LimitError, (leaf, 0, 1, [leaf] * 200, leaf)),
    ]
    for code, kind, arguments in refused:
        with pytest.raises(kind) as caught:
            merkle.verify_inclusion(*arguments)  # type: ignore[arg-type]
        assert code == caught.value.code
    changes: list[tuple[object, ...]] = [
        (0, leaf, 5, leaf, []),
        (0, empty, 5, leaf, [leaf]),
        (5, leaf, 5, empty, []),
        (5, leaf, 4, leaf, []),
        (4, leaf, 5, leaf, []),
        (3, leaf, 5, leaf, []),
    ]
    for change in changes:
        with pytest.raises(PathError):
            merkle.verify_consistency(*change)  # type: ignore[arg-type]
    with pytest.raises(PathError):
        merkle.inclusion_path(LEAVES[:3], 3)
    with pytest.raises(PathError):
        merkle.consistency_path(LEAVES[:3], 4)


def test_a_node_is_no_leaf_and_no_leaf_is_repeated() -> None:
    """Second preimage, and CVE-2012-2459."""
    assert merkle.node_hash(LEAVES[0], LEAVES[1]) != merkle.leaf_hash(LEAVES[0] + LEAVES[1])
    assert merkle.root(LEAVES[:3]) != merkle.root([*LEAVES[:3], LEAVES[2]])
