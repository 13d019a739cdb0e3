"""Reading single fields out of decoded CBOR: the value with its type, or a `FormatError` that
names the field.

Codes: `field.range` (another type, length or range), `field.text` (not UTF-8, or characters that
cannot be shown).
"""

from __future__ import annotations

from typing import TypeGuard

from tallystick import limits
from tallystick.errors import FormatError

__all__ = ["is_int", "octets", "optional_octets", "text", "uint"]


def is_int(value: object) -> TypeGuard[int]:
    """An integer, which a boolean is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def uint(value: object, what: str, limit: int, *, at_least: int = 0) -> int:
    """An integer in `at_least`..`limit`."""
    if not is_int(value) or not at_least <= value <= limit:
        raise FormatError("field.range", f"{what} is not an integer in {at_least}..{limit}")
    return value


def octets(value: object, what: str, length: int) -> bytes:
    """A byte string of exactly `length`."""
    if not isinstance(value, bytes) or len(value) != length:
        raise FormatError("field.range", f"{what} is not a byte string of {length}")
    return value


def optional_octets(value: object, what: str, length: int) -> bytes | None:
    """A byte string of exactly `length`, or null."""
    return None if value is None else octets(value, what, length)


def text(value: object, what: str, limit: int = limits.NAME_BYTES) -> str:
    """The text in a byte string of at most `limit` bytes: UTF-8 that can be shown on one line."""
    if not isinstance(value, bytes) or len(value) > limit:
        raise FormatError("field.range", f"{what} is not a byte string of at most {limit}")
    try:
        decoded = value.decode()
    except UnicodeDecodeError as error:
        raise FormatError("field.text", f"{what} is not UTF-8") from error
    # stops control characters and line breaks from rewriting what a person reads on a screen
    if not decoded.isprintable():
        raise FormatError("field.text", f"{what} holds characters that cannot be shown")
    return decoded
