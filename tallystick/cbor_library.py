"""`loads` of cbor2, as strict as version 6 can be told to be, with the last version before it too.

cbor2 6 is written in Rust and has no wheel for a 32-bit Raspberry Pi; 5.9 has one for any machine, in
Python alone, but no options that refuse indefinite lengths, repeated keys and known tags. So there the bytes are
looked through first, head by head, and refused before cbor2 sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import cbor2

__all__ = ["loads"]

_NULL: Final = b"\xf6"
_INDEFINITE: Final = 31
_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _OTHER = 2, 3, 4, 5, 6, 7
_FLOATS: Final = {25: 2, 26: 4, 27: 8}


def _is_old() -> bool:
    """Is it a version without the option? Its number is not asked for: that takes longer than a verdict."""
    try:
        cbor2.loads(_NULL, allow_duplicate_keys=False)
    except TypeError:
        return True
    return False


def _old_loads(
    data: bytes,
    *,
    max_depth: int,
    allow_indefinite: bool = True,
    semantic_decoders: Mapping[int, Callable[..., Any]] | None = None,
) -> Any:
    _Scan(data, max_depth, allow_indefinite, semantic_decoders or {}).item(0, 0)
    return cbor2.loads(data, max_depth=max_depth)


# The value of a document in which no map has a key twice. Raises whatever the library raises; what a semantic decoder
# raises is its cause.
loads: Final[Callable[..., Any]] = (
    _old_loads if _is_old() else partial(cbor2.loads, allow_duplicate_keys=False)
)


class _Scan:
    """Goes through the heads of a document (RFC 8949, section 3) and raises `ValueError` for what is
    not to be decoded; `item` gives where an item ends.
    """

    def __init__(
        self,
        data: bytes,
        max_depth: int,
        allow_indefinite: bool,
        refused: Mapping[int, Callable[..., Any]],
    ) -> None:
        self._data, self._most = data, max_depth
        self._indefinite, self._refused = allow_indefinite, refused

    def item(self, at: int, depth: int) -> int:
        """Where the item that starts at `at` ends."""
        if depth > self._most:
            raise ValueError("nested too deeply")
        major, short, value, at = self._head(at)
        if short == _INDEFINITE:
            return self._open_ended(major, at, depth)
        if major in (_BYTES, _TEXT):
            return self._past(at, value)
        if major == _ARRAY:
            for _ in range(value):
                at = self.item(at, depth + 1)
        elif major == _MAP:
            keys: set[bytes] = set()
            for _ in range(value):
                at = self._pair(at, depth + 1, keys)
        elif major == _TAG:
            if value in self._refused:
                try:
                    self._refused[value](None, None)
                except Exception as error:
                    raise ValueError("a tag that is refused") from error
            at = self.item(at, depth + 1)
        return at

    def _head(self, at: int) -> tuple[int, int, int, int]:
        first = self._data[self._past(at, 1) - 1]
        major, short, at = first >> 5, first & 31, at + 1
        if short < 24:
            return major, short, short, at
        if short == _INDEFINITE:
            if not self._indefinite or major not in (_BYTES, _TEXT, _ARRAY, _MAP):
                raise ValueError("an indefinite length")
            return major, short, 0, at
        if short > 27:
            raise ValueError("a reserved head")
        end = self._past(at, 1 << (short - 24))
        value = (
            0 if major == _OTHER and short in _FLOATS else int.from_bytes(self._data[at:end], "big")
        )
        return major, short, value, end

    def _past(self, at: int, length: int) -> int:
        if at + length > len(self._data):
            raise ValueError("it ends too early")
        return at + length

    def _pair(self, at: int, depth: int, keys: set[bytes]) -> int:
        end = self.item(at, depth)
        key = bytes(self._data[at:end])
        if key in keys:
            raise ValueError("a key that is there twice")
        keys.add(key)
        return self.item(end, depth)

    def _open_ended(self, major: int, at: int, depth: int) -> int:
        keys: set[bytes] = set()
        while self._data[self._past(at, 1) - 1] != 0xFF:
            at = self._pair(at, depth + 1, keys) if major == _MAP else self.item(at, depth + 1)
        return at + 1
