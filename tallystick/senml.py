"""SenML, the Sensor Measurement Lists of RFC 8428: readings for tools that know nothing of ours.

A pack is derived and unsigned: it is read beside a proof and never instead of one. `pack` sets the
base fields (5.1) so that names, times and a common unit are written once; `resolve` takes them out
again (4.6). JSON labels are texts, CBOR labels are small integers (6), the values are the same.

>>> to_json(pack([Measurement("temp", "Cel", Decimal("-3.50"), 1790000000)], base="urn:dev:x:"))
b'[{"bn":"urn:dev:x:","bt":1790000000,"n":"temp","u":"Cel","v":-3.50}]'
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

import cbor2

from tallystick import jcs, limits
from tallystick.body import Open, Readings
from tallystick.cbor_library import loads
from tallystick.errors import FormatError, LimitError
from tallystick.record import Record

__all__ = [
    "Measurement",
    "Pack",
    "from_cbor",
    "from_json",
    "measurements",
    "name",
    "pack",
    "resolve",
    "scaled",
    "seconds",
    "to_cbor",
    "to_json",
]

VERSION: Final = 10  # RFC 8428, 4.4
_LABELS: Final = {  # RFC 8428, table 4
    "bver": -1,
    "bn": -2,
    "bt": -3,
    "bu": -4,
    "bv": -5,
    "bs": -6,
    "n": 0,
    "u": 1,
    "v": 2,
    "vs": 3,
    "vb": 4,
    "s": 5,
    "t": 6,
    "ut": 7,
    "vd": 8,
}
_TEXTS: Final = {number: text for text, number in _LABELS.items()}
_NAME: Final = re.compile(r"[A-Za-z0-9][-A-Za-z0-9:./_]*")  # 4.5.1
_NOT_IN_NAMES: Final = re.compile(r"[^-A-Za-z0-9:./_]")
_DIGITS: Final = 308  # before or after the point: what a double can hold
_VALUES: Final = ("v", "vs", "vb", "vd")

Number: TypeAlias = "int | float | Decimal"
Value: TypeAlias = "int | float | Decimal | str | bool | bytes"
Pack: TypeAlias = "list[dict[str, Any]]"


@dataclass(frozen=True)
class Measurement:
    """One resolved record: `time` is Unix seconds, None where there is none (a reader takes that as
    now); `value` None only beside `sum`, the integral over time.
    """

    name: str
    unit: str | None
    value: Value | None
    time: Number | None
    sum: Number | None = None


def measurements(opened: Open, record: Record) -> Iterator[Measurement]:
    """Every value of a readings record, `opened` being the `open` that it names; none of a record
    that holds no readings.

    A record from before the board's clock was set has no time: SenML has only absolute times and
    such that count from now.
    """
    body = record.body
    if not isinstance(body, Readings):
        return
    if len(opened.channels) != len(body.columns):
        raise FormatError("senml.channels", "the open in force has another number of channels")
    times = body.times(record.time, opened.tick_ms)
    for index, at in enumerate(times):
        for channel, column in zip(opened.channels, body.columns, strict=True):
            value = column[index]
            if value is not None:
                yield Measurement(
                    name(channel.name),
                    channel.unit or None,
                    scaled(value, channel.exponent),
                    seconds(at) if record.clock_set else None,
                )


def pack(values: Sequence[Measurement], *, base: str = "") -> Pack:
    """The measurements as a pack whose names start with `base` (a URN or DID and a separator).

    `FormatError` (`senml.name`, `senml.empty`) for what has no form.
    """
    if not values:
        raise FormatError("senml.empty", "a pack has at least one record")
    start = next((one.time for one in values if one.time is not None), None)
    units = {one.unit for one in values}
    common = units.pop() if len(units) == 1 and len(values) > 1 else None
    made: Pack = []
    for one in values:
        if not _NAME.fullmatch(base + one.name):
            raise FormatError("senml.name", f"{base + one.name!r} is no name of RFC 8428, 4.5.1")
        entry: dict[str, Any] = {}
        if not made:
            entry |= {"bn": base} if base else {}
            # a base time would count for records that have no time of their own
            if start is not None and all(each.time is not None for each in values):
                entry["bt"] = start
            entry |= {"bu": common} if common else {}
        based = made[0] if made else entry
        entry |= {"n": one.name} if one.name else {}
        entry |= {"u": one.unit} if one.unit and not common else {}
        if one.time is not None:
            offset = _difference(one.time, based["bt"]) if "bt" in based else one.time
            entry |= {"t": offset} if offset else {}
        if one.value is not None:
            entry[_kind(one.value)] = one.value
        if one.sum is not None:
            entry["s"] = one.sum
        made.append(entry)
    return made


def resolve(records: Pack) -> list[Measurement]:
    """What a pack says, its base fields worked in (RFC 8428, 4.6).

    `FormatError` (`senml.version`, `senml.label`, `senml.name`, `senml.value`) for a pack that must
    not be used.
    """
    base: dict[str, Any] = {"bn": "", "bt": 0, "bu": None, "bv": None, "bs": None}
    found: list[Measurement] = []
    for entry in records:
        if entry.get("bver", VERSION) > VERSION:
            raise FormatError("senml.version", f"version {entry['bver']}, this knows {VERSION}")
        strange = [label for label in entry if isinstance(label, str) and label.endswith("_")]
        if strange:  # 4.4: a label that ends so must be understood, or the record not used
            raise FormatError("senml.label", f"{strange[0]!r} must be understood and is not")
        base |= {label: entry[label] for label in base if label in entry}
        one = _resolved(entry, base)
        if one is not None:
            found.append(one)
    return found


def _resolved(entry: Mapping[str, Any], base: Mapping[str, Any]) -> Measurement | None:
    given = [label for label in _VALUES if label in entry]
    if len(given) > 1:
        raise FormatError("senml.value", f"{given[0]} and {given[1]} in one record")
    value = entry[given[0]] if given else None
    if base["bv"] is not None and given in ([], ["v"]):
        value = base["bv"] if value is None else _plus(base["bv"], value)
    total = entry.get("s")
    if base["bs"] is not None:
        total = base["bs"] if total is None else _plus(base["bs"], total)
    if value is None and total is None:
        return None  # a record of base fields alone
    full = base["bn"] + entry.get("n", "")
    if not _NAME.fullmatch(full):
        raise FormatError("senml.name", f"{full[:128]!r} is no name of RFC 8428, 4.5.1")
    time = _plus(base["bt"], entry.get("t", 0))
    return Measurement(full, entry.get("u", base["bu"]), value, time or None, total)


# ---- JSON and CBOR ---------------------------------------------------------------------------


def to_json(records: Pack) -> bytes:
    """application/senml+json. Decimal values are written digit by digit, not by way of a float."""
    entries = (
        ",".join(f"{json.dumps(label)}:{_json(value)}" for label, value in entry.items())
        for entry in records
    )
    return ("[" + ",".join(f"{{{entry}}}" for entry in entries) + "]").encode()


def to_cbor(records: Pack) -> bytes:
    """application/senml+cbor, deterministic (RFC 8949, 4.2.1)."""
    numbered = [
        {
            label: float(value) if isinstance(value, Decimal) else value
            for label, value in sorted(
                ((_LABELS[text], value) for text, value in entry.items()),
                key=lambda item: cbor2.dumps(item[0]),
            )
        }
        for entry in records
    ]
    # `canonical` writes the shortest float that keeps the value; the order of labels is set above
    return cbor2.dumps(numbered, canonical=True)


def from_json(data: bytes) -> Pack:
    """The pack in a document; `FormatError` (`senml.malformed`) or `LimitError` otherwise."""
    _check_length(data)
    try:
        text = data.decode()
        jcs.check_depth(text)
        value = json.loads(
            text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_once
        )
    except (ValueError, RecursionError) as error:
        raise FormatError("senml.malformed", f"not JSON: {error}") from error
    records = [_checked(entry) for entry in _entries(value)]
    for entry in records:
        if "vd" in entry:
            entry["vd"] = _octets(entry["vd"])
    return records


def from_cbor(data: bytes) -> Pack:
    """The pack in a document; `FormatError` (`senml.malformed`) or `LimitError` otherwise."""
    _check_length(data)
    try:
        value = loads(data, max_depth=limits.CBOR_DEPTH)
    except Exception as error:  # a library that reads strangers' bytes may raise what it likes
        raise FormatError("senml.malformed", f"not CBOR: {type(error).__name__}") from error
    return [
        _checked({_TEXTS.get(label, label): held for label, held in entry.items()})
        for entry in _entries(value)
    ]


def _check_length(data: bytes) -> None:
    if len(data) > limits.SENML_BYTES:
        raise LimitError("senml.too-long", f"{len(data)} bytes, the limit is {limits.SENML_BYTES}")


def _entries(value: object) -> Sequence[dict[Any, Any]]:
    if not isinstance(value, list) or not value:
        raise FormatError("senml.malformed", "a pack is an array of at least one record")
    if not all(isinstance(entry, dict) for entry in value):
        raise FormatError("senml.malformed", "a record of a pack is a map")
    return value


def _checked(entry: dict[Any, Any]) -> dict[str, Any]:
    """The entry, if what it says under known labels is of its type."""
    for label, value in entry.items():
        if label in ("bn", "bu", "n", "u", "vs"):
            good = isinstance(value, str)
        elif label == "vb":
            good = isinstance(value, bool)
        elif label == "vd":
            good = isinstance(value, str | bytes)
        elif label in _LABELS:
            good = _is_number(value)
        else:
            continue
        if not good:
            raise FormatError("senml.malformed", f"{label!r} is of another type")
    return entry


def _json(value: object) -> str:
    if isinstance(value, bytes):
        value = base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("senml.malformed", "vd is not base64url") from error


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a label stands twice in one record")
    return dict(pairs)


# ---- numbers and names -----------------------------------------------------------------------


def _is_number(value: object) -> bool:
    """A finite number. Stops 1e999999 from being written out digit by digit."""
    if isinstance(value, Decimal):
        return value.is_finite() and abs(value.adjusted()) < _DIGITS
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_DIGITS


def scaled(value: int, exponent: int) -> int | Decimal:
    """value x 10^exponent, exact, with as many digits after the point as the board measured."""
    if exponent >= 0:
        return value * int(10**exponent)
    return Decimal(value).scaleb(exponent)


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "vb"
    if isinstance(value, str):
        return "vs"
    return "vd" if isinstance(value, bytes) else "v"


def seconds(value: float | None) -> Number | None:
    """A time as it is written: whole seconds as an integer, shorter and exact."""
    if value is None:
        return None
    return int(value) if value == int(value) else Decimal(str(value))


def _plus(a: Number, b: Number) -> Number:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    return Decimal(str(a)) + Decimal(str(b))


def _difference(a: Number, b: Number) -> Number:
    return _plus(a, -b)


def name(channel: str) -> str:
    """A channel's name in the alphabet of 4.5.1; `_e4_` stands for the letter U+00E4."""
    return _NOT_IN_NAMES.sub(lambda found: f"_{ord(found[0]):x}_", channel)
