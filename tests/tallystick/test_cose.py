"""COSE_Sign1 in our one shape; `refused.json` holds the shapes that are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tallystick import cose
from tallystick.cose import Typ
from tallystick.errors import FormatError, LimitError, SignatureError, TallystickError
from tallystick.keys import PublicKey
from tests.world import SimKey, key

PUBLISHED = Path(__file__).resolve().parent.parent / "vectors" / "published" / "cose-wg"


def test_sig_structure_of_the_working_group() -> None:
    """We would sign other bytes than COSE says."""
    case = json.loads((PUBLISHED / "eddsa-sig-01.json").read_text())
    protected, payload = bytes.fromhex("A201270300"), case["input"]["plaintext"].encode()
    structure = cose.sig_structure(protected, payload)
    assert case["intermediates"]["ToBeSign_hex"] == structure.hex().upper()
    signature = bytes.fromhex(case["output"]["cbor"])[-64:]
    public = PublicKey.from_bytes(bytes.fromhex(case["input"]["sign0"]["key"]["x_hex"]), -19)
    public.verify(signature, structure)
    with pytest.raises(SignatureError):
        public.verify(signature, structure + b"\0")


@pytest.mark.parametrize("file", sorted((PUBLISHED / "sign1-tests").glob("*.json")))
def test_what_the_working_group_signs_is_none_of_ours(file: Path) -> None:
    """A COSE object of another application would pass as one of ours."""
    raw = bytes.fromhex(json.loads(file.read_text())["output"]["cbor"])
    for typ in Typ:
        with pytest.raises(FormatError, match=r"^(cose|cbor)\."):
            cose.parse(raw, typ)


@pytest.mark.parametrize("signer", [key("device"), SimKey("sim")])
def test_round_trip(signer: cose.Signer) -> None:
    """An object that we sign would not verify."""
    raw = cose.sign(signer, Typ.RECORD, b"\x80")
    parsed = cose.parse(raw, Typ.RECORD)
    parsed.verify(signer.public)
    assert (raw, b"\x80", signer.public.kid) == (parsed.raw, parsed.payload, parsed.kid)
    assert 17 <= len(parsed.protected) <= 18
    with pytest.raises(SignatureError, match=r"^signature\.key"):
        parsed.verify(key("other").public)


@pytest.mark.parametrize("typ", Typ)
def test_no_kind_passes_as_another(typ: Typ) -> None:
    """A challenge's answer could be replayed as a record."""
    raw = cose.sign(key("device"), typ, b"\x80")
    for other in Typ:
        if other is not typ:
            with pytest.raises(FormatError, match=r"^cose\.typ"):
                cose.parse(raw, other)


def test_the_enrolled_key_fixes_the_algorithm() -> None:
    """A header could choose the algorithm under which it is judged."""
    sim = SimKey("sim")
    header = cose.protected_header(-19, sim.public.kid, Typ.RECORD)
    from tallystick import cbor

    signature = sim.sign(cose.sig_structure(header, b"\x80"))
    raw = cbor.encode(cbor.Tagged(18, [header, {}, b"\x80", signature]))
    with pytest.raises(SignatureError, match=r"^signature\.key"):
        cose.parse(raw, Typ.RECORD).verify(sim.public)


def test_the_id_is_of_what_was_signed() -> None:
    """A SIM's second signature would make another record."""
    sim = SimKey("sim")
    one, two = (cose.parse(cose.sign(sim, Typ.RECORD, b"\x80"), Typ.RECORD) for _ in range(2))
    assert one.raw != two.raw
    assert one.id == two.id


def test_limit() -> None:
    """A stranger's object could be of any size."""
    raw = cose.sign(key("device"), Typ.RECORD, bytes(1000))
    with pytest.raises(LimitError, match=r"^cbor\.too-long"):
        cose.parse(raw, Typ.RECORD, limit=1000)


def test_unknown_typ_numbers() -> None:
    """An object of a later version would be taken for one of today."""
    with pytest.raises(TallystickError, match=r"^cose\.typ"):
        cose.parse(cose.sign(key("device"), 65100, b"\x80"), Typ.RECORD)
