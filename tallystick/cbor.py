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
from typing import TypeAlias

import cbor2

from tallystick import limits
from tallystick.errors import FormatError, LimitError

__all__ = ["Tagged", "Value", "decode", "encode"]

Tagged = cbor2.CBORTag

Value: TypeAlias = (
    "int | bytes | str | bool | list[Value] | dict[int | str, Value] | cbor2.CBORTag | None"
)

SIGN1_TAG = 18
_CBOR2_DEPTH = 64  # above our own limit, so that a little too deep is told apart from malformed
_INT_MIN = -(2**64)
_INT_MAX = 2**64 - 1


def encode(value: object) -> bytes:
    """The one encoding of `value`; `FormatError` when it has none (a float, a set, an integer
    beyond 64 bits).
    """
    return cbor2.dumps(_ordered(value, 0))


def decode(data: bytes, *, limit: int = limits.PROOF_BYTES) -> Value:
    """The value of `data`, if `data` is its one encoding.

    Raises `FormatError` (codes `cbor.malformed`, `cbor.not-deterministic`, `cbor.type`) or
    `LimitError` (`cbor.too-long`, `cbor.too-deep`).
    """
    if len(data) > limit:
        raise LimitError("cbor.too-long", f"{len(data)} bytes, the limit is {limit}")
    try:
        value = cbor2.loads(
            data, allow_duplicate_keys=False, allow_indefinite=False, max_depth=_CBOR2_DEPTH
        )
    # cbor2 builds dates, patterns, MIME messages ... from tags; their constructors raise what they like
    except Exception as error:
        raise FormatError("cbor.malformed", f"not CBOR: {type(error).__name__}") from error
    ordered = _ordered(value, 0)
    if cbor2.dumps(ordered) != data:
        raise FormatError(
            "cbor.not-deterministic", "not the shortest, ordered form, or bytes are left over"
        )
    return ordered


def _ordered(value: object, depth: int) -> Value:
    """`value` in lists and dicts, every map in the order of RFC 8949, 4.2.1, after a check of
    every type in it.
    """
    if value is None or isinstance(value, bytes | bool):
        return value
    if isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise FormatError("cbor.type", "integer beyond 64 bits")
        return value
    if isinstance(value, str):
        return value
    if depth >= limits.CBOR_DEPTH:
        raise LimitError("cbor.too-deep", f"more than {limits.CBOR_DEPTH} levels")
    if isinstance(value, list | tuple):
        return [_ordered(item, depth + 1) for item in value]
    if isinstance(value, Mapping):  # cbor2 makes what stands inside a tag immutable
        return _ordered_map(value, depth)
    if isinstance(value, cbor2.CBORTag) and value.tag == SIGN1_TAG:
        return cbor2.CBORTag(SIGN1_TAG, _ordered(value.value, depth + 1))
    raise FormatError("cbor.type", f"{type(value).__name__} has no place in our formats")


def _ordered_map(value: Mapping[object, object], depth: int) -> dict[int | str, Value]:
    keys: list[int | str] = []
    for key in value:
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise FormatError("cbor.type", f"map key of type {type(key).__name__}")
        _ordered(key, depth + 1)
        keys.append(key)
    # cbor2's own canonical mode sorts by length first (RFC 7049), which 4.2.1 no longer does
    keys.sort(key=cbor2.dumps)
    return {key: _ordered(value[key], depth + 1) for key in keys}
