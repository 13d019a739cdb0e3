"""The tree that is kept as complete subtrees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tallystick import merkle
from tallystick_ledger import tree


@given(st.lists(st.integers(0, 9), max_size=20), st.data())
def test_equals_the_library_whatever_the_steps(steps: list[int], data: st.DataObject) -> None:
    """A root or path that differs from RFC 9162's makes every proof of this ledger TAMPERED."""
    nodes: dict[int, bytes] = {}
    leaves: list[bytes] = []
    sizes = [0]

    def read(level: int, place: int) -> bytes:
        return nodes[tree.number(level, place)] if level else leaves[place]

    frontier = tree.Frontier()
    for step in steps:
        entries = [(len(leaves) + n).to_bytes(32, "big") for n in range(step)]
        new = frontier.grow(entries)
        for level, place, value in new:
            assert tree.number(level, place) not in nodes, "a node is written once"
            nodes[tree.number(level, place)] = value
        leaves += map(merkle.leaf_hash, entries)
        assert merkle.root(leaves) == frontier.root == tree.Frontier(frontier.size, read).root
        sizes.append(len(leaves))
    for size in sizes:
        assert merkle.root(leaves[:size]) == tree.root(read, size)
        path = merkle.consistency_path(leaves, size)
        assert path == tree.consistency(read, size, len(leaves))
    if leaves:
        size = data.draw(st.sampled_from([size for size in sizes if size]))
        index = data.draw(st.integers(0, size - 1))
        path = tree.path(read, index, size)
        assert merkle.inclusion_path(leaves[:size], index) == path


def test_a_path_costs_reads_by_the_logarithm() -> None:
    """At a million blocks a proof that reads all of them would take seconds and block the ledger."""
    size, reads = 1_000_003, 0

    def read(level: int, place: int) -> bytes:
        nonlocal reads
        reads += 1
        return bytes(32)

    tree.path(read, 654_321, size)
    tree.root(read, size)
    assert reads <= 3 * size.bit_length()
