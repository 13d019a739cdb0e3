"""One leaf's path out of a proof for many. If it fails, a report or an export of one record leads nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import merkle, shared_inclusion
from tallystick.errors import PathError


@given(st.integers(1, 40), st.data())
def test_is_the_path_of_the_leaf_alone(size: int, data: st.DataObject) -> None:
    hashes = [merkle.leaf_hash(bytes([n])) for n in range(size)]
    some = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    shared = shared_inclusion.prove(
        sorted(some), size, lambda start, end: merkle.root(hashes[start:end])
    )
    leaves = {index: hashes[index] for index in some}
    for index in some:
        found = shared_inclusion.path(index, leaves, size, shared)
        assert merkle.inclusion_path(hashes, index) == found


def test_refuses_what_is_not_there() -> None:
    leaves = {3: bytes(32)}
    for index, size, hashes in ((2, 8, []), (3, 3, []), (3, 8, [bytes(32)])):
        with pytest.raises(PathError):
            shared_inclusion.path(index, leaves, size, hashes)
