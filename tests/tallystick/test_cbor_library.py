"""With the last cbor2 that has a wheel for any machine, the library decides as with the newest."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from tallystick import cbor, senml
from tallystick.cbor_library import _Scan
from tallystick.errors import TallystickError
from tools.parts import PARTS, cwt_python

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
SCRIPT = """
import json, sys, types
# the package without its __init__, which wants more than this environment has
package = sys.modules["tallystick"] = types.ModuleType("tallystick")
package.__path__ = [sys.argv[1]]
from tallystick import cbor, cbor_library
from tallystick.errors import TallystickError
assert cbor_library._is_old()
def ask(raw):
    try:
        value = cbor.decode(raw)
    except TallystickError as error:
        return error.code
    assert cbor.encode(value) == raw
    return "good"
print(json.dumps([ask(bytes.fromhex(one)) for one in json.load(sys.stdin)]))
"""


def documents() -> list[bytes]:
    """Good ones, the same with a byte changed or cut off, and what nobody should decode."""
    chance = random.Random(5)
    found = []
    for name in ("record", "message", "ledger", "statement", "proof"):
        cases = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
        found += [bytes.fromhex(case["bytes"]) for case in cases if "bytes" in case]
    for raw in list(found):
        for _ in range(30):
            at = chance.randrange(min(len(raw), 90))
            found.append(raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :])
        found.append(raw[: chance.randrange(len(raw))])
    # tags that would become dates, patterns, shared values; lengths without an end; keys twice; depth; floats
    strange = "c000 c11a00000000 d81c81d81d00 d82363612b2b d9010281 9fff 5f4100ff bfff a201020103 f93c00 f7 e0"
    return [
        *found,
        *map(bytes.fromhex, strange.split()),
        b"\x81" * 80 + b"\x00",
        b"\x9a" + b"\xff" * 4,
    ]


def answer(raw: bytes) -> str:
    """What our own decoder says."""
    try:
        cbor.decode(raw)
    except TallystickError as error:
        return error.code
    return "good"


def test_both_versions_decide_alike() -> None:
    """A gateway on a small machine would take in what every verifier refuses."""
    asked = documents()
    done = subprocess.run(
        [str(cwt_python()), "-I", "-c", SCRIPT, str(PARTS / "packages/tallystick")],
        input=json.dumps([raw.hex() for raw in asked]),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert 0 == done.returncode, done.stderr
    old = json.loads(done.stdout)
    ours = [answer(raw) for raw in asked]
    # which of two faults is named first is the library's affair
    both = zip(asked, ours, old, strict=True)
    differ = [(raw.hex(), a, b) for raw, a, b in both if (a == "good") != (b == "good")]
    assert [] == differ
    assert 20 < ours.count("good") < len(ours) - 100


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("a201020103", "twice"),
        ("bf01020103ff", "twice"),
        ("818181818100", "deeply"),
        ("5aff", "too early"),
        ("9f01", "too early"),
        ("1c", "reserved"),
        ("df", "indefinite"),
        ("ff", "indefinite"),
    ],
)
def test_what_is_refused_before_it_is_decoded(raw: str, reason: str) -> None:
    """A document that the old library would make something of, at a cost, or in its own way."""
    with pytest.raises(ValueError, match=reason):
        _Scan(bytes.fromhex(raw), 4, True, {}).item(0, 0)


def test_floats_and_open_ends_pass() -> None:
    """SenML has both."""
    pack = senml.to_cbor([{"n": "t", "v": 21.5, "u": "Cel"}])
    assert len(pack) == _Scan(pack, 8, True, {}).item(0, 0)
    for raw in ("9f0102ff", "bf6161016162fb3ff199999999999aff", "7f61616162ff"):
        data = bytes.fromhex(raw)
        assert len(data) == _Scan(data, 8, True, {}).item(0, 0)
