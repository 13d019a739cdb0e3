"""Who signed: signatures, keys, credentials, rotations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tallystick import cbor, cose
from tallystick.cose import Typ
from tests.world import START, Device, SimKey, World, key, small
from tools.cheats import Cheat, policy_table, rebuilt, swapped

_L = 2**252 + 27742317777372353535851937790883648493  # order of the group of Ed25519, RFC 8032, 5.1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
_DAY_S = 86_400


def cheats() -> Iterator[Cheat]:
    """Signatures first, then whose key it is."""
    yield from _signatures()
    yield from _replayed()
    yield from _sim()
    yield from _credentials()
    yield from _rotations()


def _signatures() -> Iterator[Cheat]:
    world, data = small()
    policy = policy_table(world)
    raw = world.device.records[1].raw

    def forged(
        name: str, changed: bytes, result: str = "failed", cheat: str = "signature"
    ) -> Cheat:
        verdict = {"failed": "TAMPERED", "undecided": "TAMPERED"}[result]
        code = "record.signature"
        return Cheat(cheat, name, swapped(data, 1, changed), policy, verdict, code, result)

    yield forged("one bit of the signature", raw[:-1] + bytes([raw[-1] ^ 1]))
    yield forged("a signature of zeros", raw[:-64] + bytes(64))
    s = int.from_bytes(raw[-32:], "little") + _L
    yield forged(
        "S + L: the same signature in another number", raw[:-32] + s.to_bytes(32, "little")
    )
    yield forged("R and S exchanged", raw[:-64] + raw[-32:] + raw[-64:-32])
    yield forged("the signature of another record", raw[:-64] + world.device.records[2].raw[-64:])
    small_order = b"\x01" + bytes(31) + bytes(32)
    yield forged("a signature of low order", raw[:-64] + small_order)
    fields = _fields(raw)
    for name, at, value in (
        ("seq", 0, 2),
        ("prev", 1, bytes(32)),
        ("time", 2, START + 61),
        ("boot", 4, 0),
        ("interval", 5, 61),
        ("a value", 6, [216, 1, None, -2]),
    ):
        if fields[at] == value:
            continue
        yield forged(
            f"another {name} under the old signature", _with_payload(raw, fields, at, value)
        )
    stranger = Device(key("stranger"))
    unknown = stranger.readings(seq=1, prev=world.device.records[0].id, boot=0).raw
    yield forged("a stranger's key, named", unknown, "undecided", "splice")
    claimed = _by_stranger(raw)
    yield forged("a stranger's signature under the device's kid", claimed, cheat="splice")


def _fields(raw: bytes) -> list[Any]:
    tagged: Any = cbor.decode(raw)
    fields: Any = cbor.decode(tagged.value[2])
    return list(fields)


def _with_payload(raw: bytes, fields: list[Any], at: int, value: object) -> bytes:
    tagged: Any = cbor.decode(raw)
    protected, unprotected, _, signature = tagged.value
    changed = cbor.encode([*fields[:at], value, *fields[at + 1 :]])
    return cbor.encode(cbor.Tagged(18, [protected, unprotected, changed, signature]))


def _by_stranger(raw: bytes) -> bytes:
    tagged: Any = cbor.decode(raw)
    protected, unprotected, payload, _ = tagged.value
    signature = key("stranger").sign(cose.sig_structure(protected, payload))
    return cbor.encode(cbor.Tagged(18, [protected, unprotected, payload, signature]))


def _replayed() -> Iterator[Cheat]:
    """What was signed for one purpose, shown for another."""
    world, data = small()
    policy = policy_table(world)
    payload = world.device.records[1].signed.payload
    for typ in (Typ.CHALLENGE, Typ.BLOCK, Typ.STATEMENT, Typ.CREDENTIAL, Typ.POSSESSION):
        raw = cose.sign(world.device.signer, typ, payload)
        name = f"a {typ.name.lower()} as record"
        yield Cheat(
            *("replay across purposes", name, swapped(data, 1, raw), policy),
            *("UNDECIDED", "proof.format", "undecided", "cose.typ"),
        )
    record = world.device.records[1].raw
    yield Cheat(
        *("replay across purposes", "a record as credential", swapped(data, 8, record), policy),
        *("UNDECIDED", "proof.format", "undecided", "cose.typ"),
    )


def _sim() -> Iterator[Cheat]:
    world = World(SimKey("sim", repeatable=True))
    world.device.open()
    reading = world.device.readings()
    world.publish()
    data, policy = world.prove([reading]), policy_table(world)
    yield Cheat("honest", "a key in a SIM", data, policy, "VERIFIED", "record.signature", "ok")
    s = _N - int.from_bytes(reading.raw[-32:], "big")
    high = reading.raw[:-32] + s.to_bytes(32, "big")
    yield Cheat(
        *("signature", "ESP256 with the upper s", swapped(data, 1, high), policy),
        *("TAMPERED", "record.signature", "failed"),
    )
    zero = reading.raw[:-64] + bytes(64)
    yield Cheat(
        *("signature", "ESP256 of zeros", swapped(data, 1, zero), policy),
        *("TAMPERED", "record.signature", "failed"),
    )


def _credentials() -> Iterator[Cheat]:
    world, data = small()
    policy, code = policy_table(world), "device.credential"

    def shown(name: str, raw: bytes, verdict: str, result: str, cheat: str = "credential") -> Cheat:
        return Cheat(cheat, name, rebuilt(data, credential=raw), policy, verdict, code, result)

    good = world.credential()
    yield shown("without an end", world.credential(expires=None), "VERIFIED", "ok", "honest")
    yield Cheat(
        *("signature stripping", "no credential", rebuilt(data, credential=None), policy),
        *("UNDECIDED", code, "undecided"),
    )
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    yield shown("one bit of its signature", flipped, "TAMPERED", "failed")
    forged = world.credential(key("stranger"))
    yield shown("signed by a stranger in the issuer's name", forged, "TAMPERED", "failed")
    own = world.credential(world.device.signer, issuer=world.device.did)
    yield shown("self-issued", own, "UNTRUSTED", "untrusted")
    person = world.credential(role="inspector")
    yield shown("of an inspector", person, "UNTRUSTED", "untrusted")
    late = world.credential(not_before=START + _DAY_S)
    yield shown("not valid yet", late, "UNTRUSTED", "untrusted")
    expired = world.credential(expires=START + 60)
    yield shown("expired", expired, "UNTRUSTED", "untrusted")
    other = world.credential(subject=Device(key("other")).did)
    yield Cheat(
        *("credential", "of another device", rebuilt(data, credential=other), policy),
        *("UNDECIDED", "record.signature", "undecided"),
    )
    later = world.credential(key=key("second").public)
    yield Cheat(
        "honest",
        "cnf names a key that signed nothing here",
        rebuilt(data, credential=later),
        policy,
        "VERIFIED",
        "device.key",
        "ok",
    )
    nobody = {**policy, "issuers": []}
    yield Cheat(
        *("policy", "an issuer whom nobody trusts", data, nobody),
        *("UNTRUSTED", code, "untrusted"),
    )


def _rotations() -> Iterator[Cheat]:
    world = World()
    world.device.open()
    rotate = world.device.rotate(key("second"))
    world.device.open()
    reading = world.device.readings()
    world.publish()
    policy, code = policy_table(world), "device.key"
    data = world.prove([reading])
    yield Cheat("honest", "a record under the second key", data, policy, "VERIFIED", code, "ok")
    yield Cheat(
        *("rotation", "left out", rebuilt(data, rotations=[]), policy),
        *("UNDECIDED", "record.signature", "undecided"),
    )
    flipped = rotate.raw[:-1] + bytes([rotate.raw[-1] ^ 1])
    yield Cheat(
        *("rotation", "one bit of its signature", rebuilt(data, rotations=[flipped]), policy),
        *("TAMPERED", code, "failed"),
    )
    for name, changes in (
        ("to a key that did not agree", {"possession": bytes(64)}),
        ("signed by the new key itself", {"signer": key("second")}),
        ("signed by a stranger", {"signer": key("stranger")}),
    ):
        thief = Device()
        thief.open()
        made = thief.rotate(key("second"), **changes)
        failed = "possession" in changes
        yield Cheat(
            *("rotation", name, rebuilt(data, rotations=[made.raw]), policy),
            *("TAMPERED", code, "failed") if failed else ("UNDECIDED", code, "undecided"),
        )
    old = Device()
    old.open()
    old.seq, old.prev, old.time = 3, reading.prev, reading.time
    forged = old.readings(boot=2)
    world.log.add(forged.raw)
    world.publish()
    parts = world.parts([reading])
    parts |= {"records": [forged.raw], "inclusions": [world.log.inclusion(forged.raw)]}
    from tallystick import proof

    yield Cheat(
        *("rotation", "a record by the key that was replaced", proof.build(**parts), policy),
        *("UNTRUSTED", "chain.link", "untrusted"),
    )
