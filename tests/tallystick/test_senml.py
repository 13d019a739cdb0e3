"""SenML: the examples of RFC 8428, our own packs there and back, and packs that must be refused.

If this fails, a tool that reads our exports sees another value, name or time than the board signed.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import cbor2
import pytest

from tallystick import limits, record, senml
from tallystick.body import Channel, Open, Readings
from tallystick.errors import FormatError, LimitError, UncheckedError
from tallystick.keys import ED25519, PrivateKey
from tallystick.senml import Measurement

PUBLISHED = Path(__file__).resolve().parent.parent / "vectors" / "published" / "senml"
RESOLVED = sorted(path.name.split(".")[0] for path in PUBLISHED.glob("*.gen.resolved.json"))
UNTIMED = ("ex1", "ex2", "ex7", "ex9")  # their resolved form names the second it was made in
START = 1_790_000_000


def labelled(one: Measurement, *, timed: bool) -> dict[str, Any]:
    """As a resolved record is written."""
    kind = {str: "vs", bool: "vb", bytes: "vd"}.get(type(one.value), "v")
    value = one.value if isinstance(one.value, str | bytes | bool) else float(str(one.value))
    said = {"n": one.name, kind: value}
    if one.unit is not None:
        said["u"] = one.unit
    if timed:
        said["t"] = float(str(one.time))
    return said


@pytest.mark.parametrize("name", RESOLVED)
def test_the_examples_of_the_rfc(name: str) -> None:
    """Base name, time, unit and version are worked in as the RFC's authors did."""
    timed = name not in UNTIMED
    found = senml.resolve(senml.from_json((PUBLISHED / f"{name}.json").read_bytes()))
    expected = json.loads((PUBLISHED / f"{name}.gen.resolved.json").read_text())
    for entry in expected:
        entry.pop("l", None)  # an extension label
        if not timed:
            entry.pop("t")
    # the published ex7 leaves its record of bytes out
    assert expected == [labelled(one, timed=timed) for one in found if one.value != b"hi \n"]


@pytest.mark.parametrize("name", ["ex3", "ex5"])
def test_the_examples_in_cbor(name: str) -> None:
    """The labels are the RFC's numbers, and both forms say the same."""
    published = senml.from_cbor((PUBLISHED / f"{name}.gen.cbor").read_bytes())
    text = senml.from_json((PUBLISHED / f"{name}.json").read_bytes())
    expected = [labelled(one, timed=True) for one in senml.resolve(text)]
    found = [labelled(one, timed=True) for one in senml.resolve(published)]
    assert expected == found
    again = cbor2.loads(senml.to_cbor(published))
    assert cbor2.loads((PUBLISHED / f"{name}.gen.cbor").read_bytes()) == again


def opened(*channels: Channel) -> Open:
    """An `open` with these channels and a tick of a tenth of a second."""
    return Open(1, "0.1.0", bytes(16), 2, None, channels, 100)


def read(columns: tuple[tuple[int | None, ...], ...], interval: int, at: int = START) -> bytes:
    """A signed readings record."""
    key = PrivateKey.generate(ED25519)
    return record.sign(key, 5, bytes(32), at, Readings(0, interval, columns))


def test_a_record_as_senml() -> None:
    """Exact values, a common base, one time line; what is null is not invented."""
    signed = record.parse(read(((2150, None, -51), (40, 41, 42)), 15))
    says = opened(Channel("temperature", "Cel", -2), Channel("humidity", "%RH", 0))
    packed = senml.pack(list(senml.measurements(says, signed)), base="did:key:z6Mk:")
    assert (
        '[{"bn":"did:key:z6Mk:","bt":1790000000,"n":"temperature","u":"Cel","v":21.50},'
        '{"n":"humidity","u":"%RH","v":40},'
        '{"n":"humidity","u":"%RH","t":1.5,"v":41},'
        '{"n":"temperature","u":"Cel","t":3,"v":-0.51},'
        '{"n":"humidity","u":"%RH","t":3,"v":42}]'
    ) == senml.to_json(packed).decode()
    expected = senml.resolve(packed)
    assert expected == senml.resolve(senml.from_json(senml.to_json(packed)))
    from_cbor = senml.resolve(senml.from_cbor(senml.to_cbor(packed)))
    assert [labelled(one, timed=True) for one in expected] == [
        labelled(one, timed=True) for one in from_cbor
    ]
    assert Decimal("-0.51") == expected[3].value


def test_one_unit_is_written_once() -> None:
    """A long column would repeat it on every line."""
    signed = record.parse(read(((1, 2, 3),), 10))
    packed = senml.pack(list(senml.measurements(opened(Channel("power", "W", 3)), signed)))
    assert {"bt": START, "bu": "W", "n": "power", "v": 1000} == packed[0]
    assert {"n": "power", "t": 1, "v": 2000} == packed[1]
    assert ["W", "W", "W"] == [one.unit for one in senml.resolve(packed)]


def test_a_board_without_a_clock_names_no_time() -> None:
    """Seconds since boot would be read as a moment in 1978."""
    signed = record.parse(read(((1,),), 0, at=300_000_000))
    (one,) = senml.measurements(opened(Channel("a", "", 0)), signed)
    assert (None, None) == (one.time, one.unit)
    assert [{"n": "a", "v": 1}] == senml.pack([one])


def test_a_mixed_pack_keeps_each_time() -> None:
    """A base time would become the time of what has none."""
    mixed = [Measurement("a", None, 1, START), Measurement("b", None, 2, None)]
    assert mixed == senml.resolve(senml.pack(mixed))


def test_names_outside_the_alphabet() -> None:
    """A channel in another script would make the whole pack invalid, or merge with another."""
    signed = record.parse(read(((1,), (2,)), 0))
    says = opened(Channel("Kühl raum", "Cel", 0), Channel("K_hl_raum", "Cel", 0))
    names = [one.name for one in senml.measurements(says, signed)]
    assert ["K_fc_hl_20_raum", "K_hl_raum"] == names


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"[]", "senml.malformed"),
        (b"{}", "senml.malformed"),
        (b"[1]", "senml.malformed"),
        (b"[", "senml.malformed"),
        (b"[" * 100_000, "json.too-deep"),
        (b'[{"n":"a","v":NaN}]', "senml.malformed"),
        (b'[{"n":"a","v":1e999999}]', "senml.malformed"),
        (b'[{"n":"a","v":1e-999999,"t":1e9999999999}]', "senml.malformed"),
        (b'[{"n":"a","n":"b","v":1}]', "senml.malformed"),
        (b'[{"n":"a","v":"1"}]', "senml.malformed"),
        (b'[{"n":"a","v":true}]', "senml.malformed"),
        (b'[{"n":"a","vb":1}]', "senml.malformed"),
        (b'[{"n":"a","vd":"%"}]', "senml.malformed"),
        (b'[{"n":"a","v":1,"vs":"x"}]', "senml.value"),
        (b'[{"n":"a b","v":1}]', "senml.name"),
        (b'[{"v":1}]', "senml.name"),
        (b'[{"bver":11,"n":"a","v":1}]', "senml.version"),
        (b'[{"n":"a","v":1,"must_":1}]', "senml.label"),
    ],
)
def test_refused(raw: bytes, code: str) -> None:
    """A pack that must not be used would be used."""
    with pytest.raises(UncheckedError) as caught:
        senml.resolve(senml.from_json(raw))
    assert code == caught.value.code


def test_refused_in_cbor() -> None:
    """The binary door has the same lock."""
    for raw in (
        b"",
        b"\x80",
        b"\xff",
        cbor2.dumps([{2: "x"}]),
        cbor2.dumps([{2: float("nan")}]),
        cbor2.dumps([1]),
    ):
        with pytest.raises(FormatError):
            senml.from_cbor(raw)
    with pytest.raises(LimitError):
        senml.from_cbor(bytes(limits.SENML_BYTES + 1))
    with pytest.raises(LimitError):
        senml.from_json(bytes(limits.SENML_BYTES + 1))


def test_nothing_to_say() -> None:
    """An empty pack is none, and a name outside the alphabet is not written."""
    for values in ([], [Measurement("a b", None, 1, None)]):
        with pytest.raises(FormatError):
            senml.pack(values)


def test_base_value_and_sum() -> None:
    """Differences against a base would be shown as values."""
    found = senml.resolve(
        [{"bn": "a", "bv": 20, "bs": 5, "v": 1, "s": 1}, {"v": Decimal("0.5")}, {}]
    )
    assert [(21, 6), (Decimal("20.5"), 5), (20, 5)] == [(one.value, one.sum) for one in found]
