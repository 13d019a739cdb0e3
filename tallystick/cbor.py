"""Deterministic CBOR (RFC 8949, 4.2.1) and nothing else.

`decode` accepts exactly the bytes that `encode` would make: shortest heads, definite lengths, map
keys in bytewise order of their encodings, no duplicate keys, nothing left over. The values are
integers within 64 bits, byte strings, text, null, booleans, arrays (lists), maps (dicts with
integer or text keys) and tag 18. Everything else is refused: floats, other simple values, other
tags. The work is done by cbor2; what cbor2 lets through is caught by encoding again and comparing.

>>> decode(encode([1, b"x", None]))
[1, b'x', None]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias

import cbor2

from tallystick import limits
from tallystick.cbor_library import loads
from tallystick.errors import FormatError, LimitError

__all__ = [
    "Tagged",
    "Value",
    "byte_string",
    "byte_string_head",
    "decode",
    "decode_lists",
    "encode",
    "head_size",
]

Tagged = cbor2.CBORTag

Value: TypeAlias = (
    "int | bytes | str | bool | list[Value] | dict[int | str, Value] | cbor2.CBORTag | None"
)

SIGN1_TAG = 18
_FOREIGN = -(2**64)  # more than a list could make up for
_CBOR2_DEPTH = 64  # above our own limit, so that a little too deep is told apart from malformed
_SCALARS = frozenset({int, bytes, str, bool, type(None)})
_NO_INTEGERS = _SCALARS - {int}


def _refuse(*_: object) -> NoReturn:
    raise FormatError("cbor.type", "a tag other than 18")


# what cbor2 would turn into dates, big integers, patterns, MIME messages, shared references ...
_REFUSED_TAGS = dict.fromkeys(
    (
        0,
        1,
        2,
        3,
        4,
        5,
        25,
        28,
        29,
        30,
        35,
        36,
        37,
        43,
        52,
        54,
        100,
        256,
        258,
        260,
        261,
        1004,
        43000,
        55799,
    ),
    _refuse,
)
_INT_MIN = -(2**64)
_INT_MAX = 2**64 - 1


def encode(value: object) -> bytes:
    """The one encoding of `value`.

    Raises `FormatError` (`cbor.type`) when it has none: a float, a set, an integer beyond 64 bits.
    """
    return cbor2.dumps(_ordered(value, 0, ours=True))


def decode(data: bytes, *, limit: int = limits.PROOF_BYTES) -> Value:
    """The value of `data`, if `data` is its one encoding.

    Raises `FormatError` (codes `cbor.malformed`, `cbor.not-deterministic`, `cbor.type`) or
    `LimitError` (`cbor.too-long`, `cbor.too-deep`).
    """
    if len(data) > limit:
        raise LimitError("cbor.too-long", f"{len(data)} bytes, the limit is {limit}")
    value = _loaded(data)
    ordered = _ordered(value, 0, ours=False)
    if cbor2.dumps(ordered) != data:
        raise FormatError(
            "cbor.not-deterministic", "not the shortest, ordered form, or bytes are left over"
        )
    return ordered


def decode_lists(data: bytes, depth: int) -> list[Value] | None:
    """`data` as integers, byte strings and null in lists, at most `depth` of them in one another.

    The common case of `decode` in a third of its time, because a gateway spends it on each record. None for all that
    is not this, in its one encoding: `decode` then finds out what is wrong.
    """
    try:
        value = _loaded(data)
    except FormatError:
        return None
    # no head is shorter than in the one encoding: what is as long as the one encoding is that
    if not isinstance(value, list) or _size(value, depth) != len(data):
        return None
    return value


def byte_string(data: bytes) -> bytes:
    """The encoding of one byte string, without the detour over values."""
    return byte_string_head(len(data)) + data


def byte_string_head(size: int) -> bytes:
    """What stands before a byte string of `size` bytes."""
    if size < 24:
        return bytes((0x40 | size,))
    if size < 256:
        return bytes((0x58, size))
    if size < 65_536:
        return b"\x59" + size.to_bytes(2, "big")
    return b"\x5a" + size.to_bytes(4, "big")


def _loaded(data: bytes) -> object:
    """What cbor2 makes of `data`; it may be more than one encoding gives."""
    try:
        return loads(
            data,
            allow_indefinite=False,
            max_depth=_CBOR2_DEPTH,
            semantic_decoders=_REFUSED_TAGS,
        )
    # a library that parses strangers' bytes may raise what it likes; ours is the error they get
    except Exception as error:
        if isinstance(error.__cause__, FormatError):  # `_refuse`, wrapped by cbor2
            raise error.__cause__ from None
        raise FormatError("cbor.malformed", f"not CBOR: {type(error).__name__}") from error


def _size(items: list[Any], depth: int) -> int:
    """Bytes of the one encoding of a list; less than none if it is too deep, or holds what is not asked for."""
    if depth < 1:
        return _FOREIGN
    size = head_size(len(items))
    for item in items:
        kind = type(item)
        if kind is int:
            size += head_size(item if item >= 0 else -1 - item)
        elif kind is bytes:
            size += head_size(len(item)) + len(item)
        elif kind is list:
            size += _size(item, depth - 1)
        elif item is None:
            size += 1
        else:
            return _FOREIGN
    return size


def head_size(number: int) -> int:
    """Bytes of the head of an integer `number`, or of what is that long."""
    if number < 24:
        return 1
    return 2 if number < 2**8 else 3 if number < 2**16 else 5 if number < 2**32 else 9


def _ordered(value: object, depth: int, *, ours: bool) -> Value:
    """`value` in lists and dicts, every map in the order of RFC 8949, 4.2.1, all types checked.

    `ours`: the value comes from our own code, so that an integer may be too large for CBOR; one
    that was decoded cannot be, since the tags of big integers are refused.
    """
    if value is None or isinstance(value, bytes | bool | str):
        return value
    if isinstance(value, int):
        if ours and not _INT_MIN <= value <= _INT_MAX:
            raise FormatError("cbor.type", "integer beyond 64 bits")
        return value
    if depth >= limits.CBOR_DEPTH:
        raise LimitError("cbor.too-deep", f"more than {limits.CBOR_DEPTH} levels")
    if isinstance(value, list | tuple):
        # the common case by far, and one pass in C: a list without anything nested
        if not ours and set(map(type, value)) <= _SCALARS:
            return list(value)
        plain = _NO_INTEGERS if ours else _SCALARS
        return [
            item if type(item) in plain else _ordered(item, depth + 1, ours=ours) for item in value
        ]
    if isinstance(value, Mapping):  # cbor2 makes what stands inside a tag immutable
        return _ordered_map(value, depth, ours=ours)
    if isinstance(value, cbor2.CBORTag) and value.tag == SIGN1_TAG:
        return cbor2.CBORTag(SIGN1_TAG, _ordered(value.value, depth + 1, ours=ours))
    raise FormatError("cbor.type", f"{type(value).__name__} has no place in our formats")


def _ordered_map(
    value: Mapping[object, object], depth: int, *, ours: bool
) -> dict[int | str, Value]:
    keys: list[int | str] = []
    for key in value:
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise FormatError("cbor.type", f"map key of type {type(key).__name__}")
        _ordered(key, depth + 1, ours=ours)
        keys.append(key)
    # cbor2's own canonical mode sorts by length first (RFC 7049), which 4.2.1 no longer does
    keys.sort(key=cbor2.dumps)
    return {key: _ordered(value[key], depth + 1, ours=ours) for key in keys}
