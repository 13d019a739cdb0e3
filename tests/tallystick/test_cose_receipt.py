"""COSE receipts and SCITT statements. If these fail, other implementations refuse what a gateway signs, or we take what
it did not sign.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import cbor2
import pytest

from tallystick import cose_receipt, did, scitt
from tallystick.errors import EvidenceError, FormatError, TallystickError
from tests.parts import ROOT, cwt_python
from tests.world import World, key

PUBLISHED = ROOT / "tests" / "vectors" / "published" / "cose-receipts"
SCRIPT = """
import json, sys
from cwt import COSE, COSEKey
asked = json.load(sys.stdin)
key = COSEKey.new({1: 1, 3: -19, -1: 6, -2: bytes.fromhex(asked["key"]), 2: bytes.fromhex(asked["kid"])})
detached = bytes.fromhex(asked["detached"]) if asked["detached"] else None
try:
    header, _, payload = COSE.new().decode_with_headers(bytes.fromhex(asked["data"]), key, detached_payload=detached)
    print(json.dumps({"payload": payload.hex(), "header": sorted(map(str, header))}))
except Exception as error:
    print(json.dumps({"refused": type(error).__name__}))
"""


def by_cwt(data: bytes, detached: bytes | None = None) -> dict[str, Any]:
    """What the `cwt` package says of a COSE_Sign1 by the gateway."""
    public = key("gateway").public
    asked = {
        "key": public.raw.hex(),
        "kid": public.kid.hex(),
        "data": data.hex(),
        "detached": detached.hex() if detached else "",
    }
    done = subprocess.run(
        [str(cwt_python()), "-I", "-c", SCRIPT],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def world() -> World:
    made = World()
    made.device.open()
    for value in range(6):
        made.device.readings([value])
    made.publish()
    return made


def signed(world: World, seq: int) -> bytes:
    raw = world.device.records[seq].raw
    index, path = world.log.inclusion(raw)
    log = world.log
    return cose_receipt.sign(log.signer, log.origin, index, 7, path, root(world), entry=raw)


def root(world: World) -> bytes:
    from tallystick import merkle

    return merkle.root(world.log.leaves())


@pytest.mark.parametrize("seq", range(7))
def test_a_receipt_is_verified(world: World, seq: int) -> None:
    data = signed(world, seq)
    found = cose_receipt.verify(data, world.log.signer.public, world.device.records[seq].raw)
    assert (seq, 7, 7) == (found.leaf, found.size, found.signed_size)
    assert did.did_key(world.log.signer.public) == found.issuer


def test_another_implementation_verifies_a_receipt(world: World) -> None:
    data = signed(world, 3)
    said = by_cwt(data, root(world))
    assert root(world).hex() == said["payload"]
    # alg, kid, CWT claims, the data structure, and the size that nobody else signs
    assert ["-65541", "1", "15", "395", "4"] == said["header"]
    assert {"refused": "VerifyError"} == by_cwt(data, bytes(32))


def test_the_size_cannot_be_changed(world: World) -> None:
    """Most small receipts also verify at another index of a tree of another size (RFC 9942 signs the root alone)."""
    data = signed(world, 3)
    raw = world.device.records[3].raw
    tag = cbor2.loads(data)
    protected, unprotected, payload, signature = tag.value
    (proof,) = unprotected[396][-1]
    size, index, path = cbor2.loads(proof)
    taken = 0
    for other in range(1, 65):
        for at in range(other):
            if (other, at) == (size, index):
                continue
            forged = {396: {-1: [cbor2.dumps([other, at, path])]}}
            value = [protected, forged, payload, signature]
            try:
                cose_receipt.verify(
                    cbor2.dumps(cbor2.CBORTag(18, value)), world.log.signer.public, raw
                )
            except TallystickError:
                continue
            taken += other != size
    assert 0 == taken


def test_refuses_another_record_or_key(world: World) -> None:
    data = signed(world, 3)
    with pytest.raises(EvidenceError):
        cose_receipt.verify(data, world.log.signer.public, world.device.records[4].raw)
    with pytest.raises(EvidenceError):
        cose_receipt.verify(data, key("ledger").public, world.device.records[3].raw)


def test_signs_nothing_on_trust(world: World) -> None:
    """A gateway would sign a root that its log does not have."""
    raw = world.device.records[3].raw
    index, path = world.log.inclusion(raw)
    log = world.log
    with pytest.raises(EvidenceError):
        cose_receipt.sign(log.signer, log.origin, index, 7, path, bytes(32), entry=raw)
    with pytest.raises(FormatError) as caught:
        cose_receipt.sign(log.signer, log.origin, 0, 1, [], bytes(32), entry=raw)
    assert "cose-receipt.path" == caught.value.code


def test_reads_the_published_receipt() -> None:
    """A receipt of somebody else's, with protected labels in an order of their own."""
    found = cose_receipt.parse((PUBLISHED / "inclusion-receipt.cbor").read_bytes())
    assert (5, 3, 3, None, -7) == (
        found.size,
        found.leaf,
        len(found.path),
        found.signed_size,
        found.alg,
    )
    assert "https://transparency-service.example.com" == found.issuer
    assert "3d06455d" == found.path[0].hex()[:8]
    with pytest.raises(FormatError) as caught:
        cose_receipt.parse((PUBLISHED / "consistency-receipt.cbor").read_bytes())
    assert "cose-receipt.proof" == caught.value.code


@pytest.mark.parametrize("cut", [0, 1, 20, 100, -1])
def test_refuses_what_is_no_receipt(world: World, cut: int) -> None:
    with pytest.raises(FormatError):
        cose_receipt.parse(signed(world, 3)[:cut])
    with pytest.raises(FormatError):
        cose_receipt.parse(world.device.records[3].raw)


# ---- SCITT ----------------------------------------------------------------------------------------


def test_a_statement_is_what_rfc_9943_asks_for(world: World) -> None:
    record = world.device.records[3]
    gateway, device = world.log.signer, world.device.first
    data = scitt.sign(gateway, device, record)
    assert record == scitt.verify(data, gateway.public, device)
    assert record.raw.hex() == by_cwt(data)["payload"]
    protected, unprotected, payload, _ = cbor2.loads(data).value
    header = cbor2.loads(protected)
    assert {} == unprotected
    assert record.raw == payload
    # kid, and CWT claims with iss and sub, in the protected header
    assert gateway.public.kid == header[4]
    assert {1: did.did_key(gateway.public), 2: world.device.did} == header[15]


def test_a_statement_cannot_pass_as_one_of_our_objects(world: World) -> None:
    """A gateway's statement would be taken for a record, or a record for a statement."""
    from tallystick import message
    from tallystick import record as records

    data = scitt.sign(world.log.signer, world.device.first, world.device.records[3])
    for parse in (records.parse, message.parse_acknowledgement, message.parse_command):
        with pytest.raises(FormatError):
            parse(data)
    with pytest.raises(TallystickError):
        scitt.verify(world.device.records[3].raw, world.log.signer.public, world.device.first)


def test_a_statement_of_another_gateway_or_device_is_refused(world: World) -> None:
    data = scitt.sign(world.log.signer, world.device.first, world.device.records[3])
    for gateway, device in (
        (key("ledger").public, world.device.first),
        (world.log.signer.public, key("another").public),
    ):
        with pytest.raises(EvidenceError):
            scitt.verify(data, gateway, device)
    changed = bytearray(data)
    changed[-1] ^= 1
    with pytest.raises(EvidenceError):
        scitt.verify(bytes(changed), world.log.signer.public, world.device.first)
    for cut in (0, 1, 30, len(data) - 1):
        with pytest.raises(FormatError):
            scitt.verify(data[:cut], world.log.signer.public, world.device.first)
