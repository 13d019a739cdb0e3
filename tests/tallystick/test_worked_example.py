"""Section 16 of the page, claim by claim: with the library, and with hashlib and cbor2 alone.

If this fails, whoever learns the format from its example learns another one.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import base58
import cbor2
import pytest

from tallystick import did, merkle, record
from tallystick.body import Open, Readings
from tallystick.chain import Chain, Result
from tallystick.keys import PrivateKey, PublicKey

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "format.md").read_text()
SECTION = PAGE.partition("\n## 16. Worked example\n")[2]
OPEN, READINGS, SIG_STRUCTURE = (
    bytes.fromhex(block) for block in re.findall(r"```\n([0-9a-f\n]+)```", SECTION)
)
FACTS: list[tuple[str, str]] = re.findall(
    r"^\| (\D.*) \| `([^`]+)` \|$", SECTION.partition("Byte by byte")[0], re.MULTILINE
)
ROWS = [
    (int(start), bytes.fromhex(octets), meaning)
    for start, octets, meaning in re.findall(
        r"^\| (\d+) \| `([0-9a-f]+)` \| (.+) \|$", SECTION, re.MULTILINE
    )
]
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")


def sig_structure(raw: bytes) -> bytes:
    """What was signed, by cbor2 alone."""
    protected, _, payload, _ = cbor2.loads(raw).value
    return cbor2.dumps(["Signature1", protected, b"", payload])


def fact(start: str) -> str:
    """The value in the first table whose name starts so."""
    (value,) = (value for what, value in FACTS if what.startswith(start))
    return value


KEY = bytes.fromhex(fact("key"))


def test_names() -> None:
    """A board made from the example would have another id, DID or first link."""
    assert PrivateKey.from_seed(SEED).public.raw == KEY
    public = PublicKey.from_bytes(KEY, -19)
    assert public.kid.hex() == fact("kid") == sha256(KEY).hexdigest()[:16]
    spelled = "did:key:z" + base58.b58encode(b"\xed\x01" + KEY).decode()
    assert did.did_key(public) == fact("did") == spelled
    genesis = sha256(b"tallystick/v1/genesis\n" + KEY).hexdigest()
    assert record.genesis(public).hex() == fact("`prev` of seq 0") == genesis


def test_ids() -> None:
    """A chain made from the example would link to other ids."""
    for raw, name in ((OPEN, "id of the `open`"), (READINGS, "id of the `readings`")):
        assert record.parse(raw).id.hex() == fact(name) == sha256(sig_structure(raw)).hexdigest()
    leaf = sha256(b"\0" + READINGS).hexdigest()
    assert merkle.leaf_hash(READINGS).hex() == fact("leaf hash") == leaf
    assert SIG_STRUCTURE == sig_structure(READINGS) == record.parse(READINGS).signed.signed_bytes


def test_sizes() -> None:
    """The text would speak of other bytes than it shows."""
    assert re.findall(r"of (\d+) bytes", SECTION) == [
        str(len(one)) for one in (OPEN, READINGS, SIG_STRUCTURE)
    ]


def test_the_bytes_taken_apart() -> None:
    """The table would leave out a byte, or stand beside the record."""
    assert b"".join(octets for _, octets, _ in ROWS) == READINGS
    at = 0
    for start, octets, _ in ROWS:
        assert start == at
        at += len(octets)


@pytest.mark.parametrize(("start", "octets", "meaning"), ROWS)
def test_what_each_byte_means(start: int, octets: bytes, meaning: str) -> None:
    """A row would explain a byte wrongly."""
    protected, unprotected, payload, signature = cbor2.loads(READINGS).value
    header: dict[int, Any] = cbor2.loads(protected)
    seq, prev, time, kind, boot, interval, first, second = cbor2.loads(payload)
    numbers = [int(number) for number in re.findall(r"-?\b\d+\b(?!st|nd|rd|th)", meaning)]
    expected: dict[str, tuple[bytes, list[int]]] = {
        "tag": (b"\xd2", [18]),
        "array of 4": (b"\x84", [4]),
        "1st": (b"\x51", [len(protected)]),
        "map": (b"\xa3", [len(header)]),
        "1 (alg)": (cbor2.dumps({1: header[1]})[1:], [1, -19]),
        "4 (kid)": (b"\x04\x48", [4, 8]),
        "the kid": (header[4], []),
        "16 (typ)": (cbor2.dumps({16: header[16]})[1:], [16, 65000]),
        "2nd": (cbor2.dumps(dict(unprotected)), []),
        "3rd": (bytes([0x58, len(payload)]), [len(payload)]),
        "array of 8": (b"\x88", [8, 3]),
        "seq": (cbor2.dumps(seq), [seq]),
        "prev": (b"\x58\x20", [32]),
        "the id": (prev, []),
        "time": (cbor2.dumps(time), [time, 2027, *numbers[2:]]),
        "kind": (cbor2.dumps(kind), [kind]),
        "boot": (cbor2.dumps(boot), [boot]),
        "interval": (cbor2.dumps(interval), [interval]),
        "column of 1: 215": (cbor2.dumps(first), [1, 215]),
        "column of 1: 52": (cbor2.dumps(second), [1, 52]),
        "4th": (b"\x58\x40", [64]),
        "the signature": (signature, []),
    }
    (found,) = (value for name, value in expected.items() if meaning.startswith(name))
    assert found == (octets, numbers)
    assert READINGS[start : start + len(octets)] == octets


def test_what_the_verifier_computes() -> None:
    """The steps at the end would not lead where they say."""
    key = did.public_key(fact("did"))
    opened, reading = record.parse(OPEN), record.parse(READINGS)
    chain = Chain(key)
    assert [Result.ADMITTED] * 2 == [chain.admit(one).result for one in (opened, reading)]
    assert (opened.id, reading.signed.kid) == (reading.prev, key.kid)
    assert isinstance(opened.body, Open)
    assert isinstance(reading.body, Readings)
    said = []
    for channel, (value,) in zip(opened.body.channels, reading.body.columns, strict=True):
        assert value is not None
        scaled = f"{value * 10.0**channel.exponent:g} {channel.unit}"
        said.append(f"{value} x 10^{channel.exponent} = {scaled}")
    assert ["215 x 10^-1 = 21.5 Cel", "52 x 10^0 = 52 %RH"] == said
    assert " and ".join(said) in SECTION
    for channel in opened.body.channels:
        assert f"`{channel.name}` in `{channel.unit}`" in SECTION
    assert "2027-01-15T08:01:00Z" in SECTION
    assert 1_800_000_060 == reading.time == opened.time + 60
