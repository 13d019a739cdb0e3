"""JSON, read strictly and written in its one canonical form (RFC 8785, JCS).

What other readers take for something else is refused: duplicate names, NaN and infinities, integers beyond
2^53 - 1, text that is not UTF-8 or holds half a surrogate pair, too deep a nesting, anything left over.

>>> canonical({"b": 1.0, "a": "x"})
b'{"a":"x","b":1}'
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn, TypeAlias

import rfc8785

from tallystick import limits
from tallystick.errors import FormatError, LimitError

__all__ = ["Object", "canonical", "check_depth", "parse"]

Object: TypeAlias = dict[str, Any]

_SAFE_INTEGER: Final = 2**53 - 1
_DIGITS: Final = 17  # more are beyond it
_STRUCTURE: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL
)  # a text, or where a level begins or ends


def parse(data: bytes, *, limit: int = limits.VC_BYTES) -> Object:
    """The JSON object in `data`; `FormatError` (`json.*`) or `LimitError` otherwise."""
    if len(data) > limit:
        raise LimitError("json.too-long", f"{len(data)} bytes, the limit is {limit}")
    try:
        text = data.decode()
        check_depth(text)
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except (ValueError, RecursionError) as error:
        raise FormatError("json.malformed", "not JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise FormatError("json.malformed", "not a JSON object")
    canonical(value)  # stops what has no canonical form, and so no signature
    return value


def canonical(value: object) -> bytes:
    """The canonical form of a JSON value; `FormatError` (`json.canonical`) if it has none."""
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except (ValueError, RecursionError) as error:
        raise FormatError("json.canonical", "a value without a canonical form") from error


def _object(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    # stops a document that means one thing to the reader of the first name, another to that of the last
    if len(found) != len(pairs):
        raise FormatError("json.duplicate", "a name stands twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise FormatError("json.number", f"{name} is no number of JSON")


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) <= _DIGITS else _SAFE_INTEGER + 1
    if abs(value) > _SAFE_INTEGER:
        raise FormatError("json.number", "an integer beyond 2^53 - 1")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise FormatError("json.number", "a number that is too large")
    return value


def check_depth(text: str) -> None:
    """`LimitError` (`json.too-deep`) if `text` nests deeper than `limits.JSON_DEPTH`.

    To be asked before Python's parser is: it calls itself for each level, and how many of those the process survives
    depends on what other libraries have done to the interpreter's limit.
    """
    depth = 0
    for found in _STRUCTURE.finditer(text):
        sign = found[0]
        if sign in "[{":
            depth += 1
            if depth > limits.JSON_DEPTH:
                raise LimitError("json.too-deep", f"more than {limits.JSON_DEPTH} levels")
        elif sign in "]}":
            depth -= 1
