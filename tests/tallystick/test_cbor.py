"""Deterministic CBOR: one value, one encoding. `refused.json` holds the malformed kinds."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import cbor, limits
from tallystick.errors import FormatError, LimitError, TallystickError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=20)
)
KEYS = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    """What one side encodes the other would not decode."""
    try:
        raw = cbor.encode(value)
    except LimitError:
        return  # deeper than 8
    assert value == cbor.decode(raw)
    assert raw == cbor.encode(cbor.decode(raw))


@given(st.binary(max_size=64))
def test_only_what_encode_makes(raw: bytes) -> None:
    """One value would have two encodings, and so two hashes."""
    try:
        value = cbor.decode(raw)
    except TallystickError:
        return
    assert raw == cbor.encode(value)


@given(VALUES, st.data())
def test_nothing_may_follow_or_be_missing(value: Any, data: st.DataObject) -> None:
    """Bytes could be smuggled behind a signed object."""
    try:
        raw = cbor.encode(value)
    except LimitError:
        return
    with pytest.raises(FormatError):
        cbor.decode(raw + data.draw(st.binary(min_size=1, max_size=3)))
    with pytest.raises(FormatError):
        cbor.decode(raw[:-1])


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (1000000000000, "1b000000e8d4a51000"),
        (2**64 - 1, "1bffffffffffffffff"),
        (-(2**64), "3bffffffffffffffff"),
        (-1, "20"),
        (True, "f5"),
        (None, "f6"),
        (b"\1\2\3\4", "4401020304"),
        ("ü", "62c3bc"),
        ([1, [2, 3], [4, 5]], "8301820203820405"),
        ({1: 2, 3: 4}, "a201020304"),
    ],
)
def test_rfc_8949_appendix_a(value: Any, raw: str) -> None:
    """We would speak another CBOR than the world."""
    assert bytes.fromhex(raw) == cbor.encode(value)
    assert value == cbor.decode(bytes.fromhex(raw))


def test_map_keys_in_bytewise_order() -> None:
    """RFC 7049 sorts by length first: a map with such keys would be refused elsewhere."""
    assert bytes.fromhex("a2187800") + bytes.fromhex("2000") == cbor.encode({-1: 0, 120: 0})


@pytest.mark.parametrize("value", [1.5, {1, 2}, 2**64, -(2**64) - 1, {b"x": 1}, object()])
def test_what_has_no_encoding(value: object) -> None:
    """A float in a payload would round differently on a board."""
    with pytest.raises(FormatError, match=r"^cbor\.type"):
        cbor.encode(value)


def test_limits() -> None:
    """A stranger could make us work without bound."""
    with pytest.raises(LimitError, match=r"^cbor\.too-long"):
        cbor.decode(bytes(11), limit=10)
    deep: Any = 0
    for _ in range(limits.CBOR_DEPTH):
        deep = [deep]
    assert deep == cbor.decode(cbor.encode(deep))
    with pytest.raises(LimitError, match=r"^cbor\.too-deep"):
        cbor.encode([deep])


@pytest.mark.parametrize(
    "raw",
    [
        b"\x81" * 100_000,
        b"\xd2" * 100_000,
        bytes([0x88]) + b"\xd8\x1c\x81\x00" + (b"\xd8\x1c\x94" + b"\xd8\x1d\x00" * 20) * 7,
        b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
    ],
)
def test_bombs(raw: bytes) -> None:
    """A few bytes could take a verifier's memory or minutes."""
    start = time.perf_counter()
    with pytest.raises(TallystickError):
        cbor.decode(raw)
    assert time.perf_counter() - start < 1


PLAIN = st.lists(
    st.recursive(
        st.none() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=300),
        lambda inner: st.lists(inner, max_size=30),
        max_leaves=12,
    ),
    max_size=30,
)


@given(PLAIN | VALUES, st.data())
def test_the_short_way_gives_the_same(value: Any, data: st.DataObject) -> None:
    """A gateway would take what `decode` refuses, or read something else in it."""
    try:
        raw = bytearray(cbor.encode(value))
    except LimitError:
        return
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    short = cbor.decode_lists(bytes(raw), 4)
    if short is not None:
        assert short == cbor.decode(bytes(raw))
    elif raw == cbor.encode(value):
        assert not _plain(value, 4)


def _plain(value: object, depth: int) -> bool:
    """Only what `decode_lists` is for."""
    if isinstance(value, list):
        return depth > 0 and all(_plain(i, depth - 1) or _scalar(i) for i in value)
    return False


def _scalar(value: object) -> bool:
    return value is None or type(value) in (int, bytes)


@pytest.mark.parametrize(
    "raw",
    [
        "811801",
        "9f01ff",
        "98011901",
        "c1811901",
        "8101" + "00",
        "81c24101",
        "81f5",
        "81fb3ff0000000000000",
        "816161",
    ],
)
def test_the_short_way_is_for_one_encoding(raw: str) -> None:
    """Longer heads, indefinite lengths, tags and what is left over: two spellings of one record."""
    assert cbor.decode_lists(bytes.fromhex(raw), 3) is None
