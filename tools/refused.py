"""Bytes that every implementation must refuse, one of each class, for `tools.vectors`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tallystick import block, cbor, cose, did, proof
from tallystick.block import BlockKind
from tallystick.cose import Typ
from tallystick.statement import StatementKind
from tests.world import START, Device, SimKey, World, key

Bad = tuple[str, str, bytes, str]  # name, object, bytes, code

LOW_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
)
NOT_CANONICAL = (
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
)
CBOR = (
    ("empty", "", "cbor.malformed"),
    ("head cut short", "18", "cbor.malformed"),
    ("length cut short", "5900", "cbor.malformed"),
    ("byte string cut short", "44010203", "cbor.malformed"),
    ("array cut short", "8201", "cbor.malformed"),
    ("map key without a value", "a101", "cbor.malformed"),
    ("reserved information 28", "1c", "cbor.malformed"),
    ("reserved information 30", "9e", "cbor.malformed"),
    ("a break alone", "ff", "cbor.malformed"),
    ("indefinite bytes", "5f4101ff", "cbor.malformed"),
    ("indefinite text", "7f6161ff", "cbor.malformed"),
    ("indefinite array", "9f01ff", "cbor.malformed"),
    ("indefinite map", "bf0102ff", "cbor.malformed"),
    ("duplicate key", "a201010102", "cbor.malformed"),
    ("text that is not UTF-8", "61ff", "cbor.malformed"),
    ("a giant length", "5b7fffffffffffffff", "cbor.malformed"),
    ("a giant array", "9b7fffffffffffffff", "cbor.malformed"),
    ("simple value below 32 in two bytes", "f81f", "cbor.malformed"),
    ("integer in two bytes for one", "1817", "cbor.not-deterministic"),
    ("integer in three bytes for two", "1900ff", "cbor.not-deterministic"),
    ("negative integer too long", "3800", "cbor.not-deterministic"),
    ("length too long", "580161", "cbor.not-deterministic"),
    ("tag too long", "d81200", "cbor.not-deterministic"),
    ("unsorted keys", "a202000100", "cbor.not-deterministic"),
    ("keys sorted by length first", "a220001818" + "00", "cbor.not-deterministic"),
    ("bytes left over", "0100", "cbor.not-deterministic"),
    ("half float", "f93c00", "cbor.type"),
    ("NaN", "f97e00", "cbor.type"),
    ("double", "fb3ff199999999999a", "cbor.type"),
    ("undefined", "f7", "cbor.type"),
    ("simple value 99", "f863", "cbor.type"),
    ("date", "c074323031332d30332d32315432303a30343a30305a", "cbor.type"),
    ("epoch time", "c11a514b67b0", "cbor.type"),
    ("big integer", "c249010000000000000000", "cbor.type"),
    ("shared reference", "d81c8100", "cbor.type"),
    ("pattern", "d8236161", "cbor.type"),
    ("self-described", "d9d9f700", "cbor.type"),
    ("tag 17", "d100", "cbor.type"),
    ("map key of bytes", "a1410000", "cbor.type"),
    ("map key true", "a1f500", "cbor.type"),
    ("nine levels", "81" * 9 + "00", "cbor.too-deep"),
)


def bad_bytes() -> Iterator[Bad]:
    """Each class, and the code."""
    for name, raw, code in CBOR:
        yield name, "cbor", bytes.fromhex(raw.ljust(len(raw) + len(raw) % 2, "0")), code
    yield from _keys()
    yield from _cose()
    yield from _records()
    yield from _messages()
    yield from _notes()
    yield from _blocks()
    yield from _statements()
    yield from _proofs()


def _keys() -> Iterator[Bad]:
    for i, raw in enumerate(LOW_ORDER):
        yield f"low order {i}", "ed25519 key", bytes.fromhex(raw), "key.low-order"
    for i, raw in enumerate(NOT_CANONICAL):
        yield f"not canonical {i}", "ed25519 key", bytes.fromhex(raw), "key.not-canonical"
    yield "31 bytes", "ed25519 key", bytes(31), "key.length"
    yield "not on the curve", "ed25519 key", b"\x02" + bytes(31), "key.point"
    point = SimKey("sim").public.raw
    yield "uncompressed", "p256 key", b"\x04" + point[1:] + bytes(32), "key.length"
    yield "no such prefix", "p256 key", b"\x05" + point[1:], "key.point"
    yield "not on the curve", "p256 key", b"\x02" + b"\xff" * 32, "key.point"
    good = did.did_key(key("device").public)
    yield "did:web", "did", b"did:web:example.com", "did.method"
    yield "base64 letters", "did", good[:-1].encode() + b"0", "did.base58"
    yield (
        "X25519",
        "did",
        b"did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
        "did.key-type",
    )
    yield "leading zero", "did", good.replace("did:key:z", "did:key:z1").encode(), "did.key-type"


def _shape(**changes: Any) -> bytes:
    device = Device()
    made = device.open()
    tagged: Any = cbor.decode(made.raw)
    protected, unprotected, payload, signature = tagged.value
    header = {**cbor.decode(protected), **changes.pop("header", {})}  # type: ignore[dict-item]
    for label in changes.pop("without", ()):
        del header[label]
    value = [
        changes.get("protected", cbor.encode(header)),
        changes.get("unprotected", unprotected),
        changes.get("payload", payload),
        changes.get("signature", signature),
    ]
    return cbor.encode(cbor.Tagged(18, value) if changes.get("tagged", True) else value)


def _cose() -> Iterator[Bad]:
    rows: list[tuple[str, dict[str, Any], str]] = [
        ("no tag", {"tagged": False}, "cose.tag"),
        ("kid in the unprotected header", {"unprotected": {4: bytes(8)}}, "cose.unprotected"),
        ("unprotected header an array", {"unprotected": []}, "cose.unprotected"),
        ("detached payload", {"payload": None}, "cose.payload"),
        ("null signature", {"signature": None}, "cose.signature"),
        ("empty signature", {"signature": b""}, "cose.signature"),
        ("signature of 63", {"signature": bytes(63)}, "cose.signature"),
        ("empty protected header", {"protected": b"\xa0"}, "cose.protected"),
        ("alg is missing", {"without": (1,)}, "cose.protected"),
        ("one label more", {"header": {2: [1]}}, "cose.protected"),
        ("alg none", {"header": {1: 0}}, "cose.algorithm"),
        ("alg EdDSA", {"header": {1: -8}}, "cose.algorithm"),
        ("alg ES256", {"header": {1: -7}}, "cose.algorithm"),
        ("kid of 7", {"header": {4: bytes(7)}}, "cose.kid"),
        ("typ of a challenge", {"header": {16: 65004}}, "cose.typ"),
        ("typ as text", {"header": {16: "record"}}, "cose.typ"),
    ]
    for name, changes, code in rows:
        yield name, "record", _shape(**changes), code
    long = cose.sign(key("device"), Typ.RECORD, cbor.encode([0, bytes(32), 0, 3, 99, bytes(4100)]))
    yield "a record of more than 4,096 bytes", "record", long, "cbor.too-long"


def _signed(typ: Typ, payload: object) -> bytes:
    return cose.sign(key("device"), typ, cbor.encode(payload))


def _records() -> Iterator[Bad]:
    head = [9, bytes(32), START]
    channel = [b"t", b"Cel", -1]
    start = [0, 1, b"1", bytes(16), 2, None, [channel], 1000, None, None]

    def opened(**changes: Any) -> list[object]:
        fields = list(start)
        for at, value in changes.items():
            fields[int(at[1:])] = value
        return [*head, *fields]

    rows: list[tuple[str, object, str]] = [
        ("a map", {1: 2}, "record.shape"),
        ("too short", [0, bytes(32), 0, 2], "record.shape"),
        ("seq negative", [-1, bytes(32), 0, 2, None, None, None, 0], "field.range"),
        ("seq 2^40", [2**40, bytes(32), 0, 2, None, None, None, 0], "field.range"),
        ("prev of 31", [1, bytes(31), 0, 2, None, None, None, 0], "field.range"),
        ("time 2^40", [1, bytes(32), 2**40, 2, None, None, None, 0], "field.range"),
        ("kind 5", [*head, 5, 0], "record.kind"),
        ("true", [*head, 3, 99, True], "record.type"),
        ("text", [*head, 3, 99, "x"], "record.type"),
        ("a map in it", [*head, 3, 99, {1: 2}], "record.type"),
        ("too deep", [*head, 3, 99, [[[1]]]], "record.depth"),
        ("open: tick 0", opened(_7=0), "field.range"),
        ("open: clock 6", opened(_4=6), "field.range"),
        ("open: no channels", opened(_6=[]), "record.channels"),
        ("open: 17 channels", opened(_6=[[b"", b"", 0]] * 17), "record.channels"),
        ("open: exponent 31", opened(_6=[[b"t", b"Cel", 31]]), "record.channels"),
        ("open: name not UTF-8", opened(_6=[[b"\xff", b"Cel", 0]]), "field.text"),
        ("open: name with a control character", opened(_6=[[b"\x1b[2J", b"", 0]]), "field.text"),
        ("open: name of 33", opened(_6=[[b"x" * 33, b"", 0]]), "field.range"),
        ("open: milestone of one", opened(_8=[bytes(8)]), "record.milestone"),
        ("open: checkpoint of two", opened(_9=[bytes(8), 1]), "record.checkpoint"),
        ("open: 257 bytes", opened(_6=[[b"x" * 32, b"y" * 32, 0]] * 3), "record.open-length"),
        ("open: one field more", [*head, *start, 0], "record.shape"),
        ("readings: no column", [*head, 1, 0, 0], "record.shape"),
        ("readings: boot is the record itself", [*head, 1, 9, 0, [1]], "field.range"),
        ("readings: empty column", [*head, 1, 0, 0, []], "record.columns"),
        ("readings: unequal columns", [*head, 1, 0, 5, [1, 2], [1]], "record.columns"),
        ("readings: a byte string", [*head, 1, 0, 0, [b"1"]], "record.columns"),
        ("readings: beyond 64 bits", [*head, 1, 0, 0, [2**63]], "record.columns"),
        ("readings: sum beyond 64 bits", [*head, 1, 0, 5, [2**63 - 1, 1]], "record.columns"),
        ("readings: 1,025", [*head, 1, 0, 5, [0] * 1025], "record.columns"),
        ("readings: interval for one", [*head, 1, 0, 5, [1]], "record.interval"),
        ("readings: too few intervals", [*head, 1, 0, [5], [1, 2, 3]], "record.interval"),
        ("readings: no intervals", [*head, 1, 0, [], [1]], "record.interval"),
        ("readings: interval backwards", [*head, 1, 0, [-5], [1, 2]], "field.range"),
        ("beacon: nonce of 15", [*head, 2, None, None, bytes(15), 0], "field.range"),
        ("beacon: one field less", [*head, 2, None, None, None], "record.shape"),
        ("event: code negative", [*head, 3, -1], "field.range"),
        ("event: 17 arguments", [*head, 3, 99, *[0] * 17], "record.event"),
        ("event: clock of two", [*head, 3, 0, 1, 2], "record.event"),
        ("event: dropped itself", [*head, 3, 1, 3, 9], "record.event"),
        ("event: dropped backwards", [*head, 3, 1, 4, 3], "record.event"),
        ("event: adopted elsewhere", [*head, 3, 3, 7, bytes(8), 0], "record.event"),
        ("event: config of 15", [*head, 3, 4, bytes(15)], "field.range"),
        ("event: sensor state 3", [*head, 3, 5, 0, 3], "field.range"),
        ("event: version not UTF-8", [*head, 3, 6, b"\xff", b"1", 0], "field.text"),
        ("rotate: low-order key", [*head, 4, -19, bytes(32), bytes(64)], "record.rotate"),
        (
            "rotate: possession of 63",
            [*head, 4, -19, key("b").public.raw, bytes(63)],
            "field.range",
        ),
        (
            "rotate: alg of the other curve",
            [*head, 4, -9, key("b").public.raw, bytes(64)],
            "record.rotate",
        ),
    ]
    for name, payload, code in rows:
        yield name, "record", _signed(Typ.RECORD, payload), code


def _messages() -> Iterator[Bad]:
    def ack(missing: object, upto: object = 1, id: object = bytes(32)) -> bytes:
        fields = [bytes(8), upto, id, missing, START, 1, bytes(32), None, bytes(16)]
        return _signed(Typ.ACKNOWLEDGEMENT, fields)

    yield "upto without id", "acknowledgement", ack([], 1, None), "message.acknowledgement"
    yield (
        "17 ranges",
        "acknowledgement",
        ack([[3 * i, 3 * i] for i in range(17)]),
        "message.missing",
    )
    yield "overlapping", "acknowledgement", ack([[3, 5], [5, 6]]), "message.missing"
    yield "backwards", "acknowledgement", ack([[5, 3]]), "message.missing"
    yield "a field less", "acknowledgement", _signed(Typ.ACKNOWLEDGEMENT, [1]), "message.shape"
    command = [bytes(8), 1, b"x", [{1: 2}]]
    yield "a map as argument", "command", _signed(Typ.COMMAND, command), "message.command"
    yield (
        "17 arguments",
        "command",
        _signed(Typ.COMMAND, [bytes(8), 1, b"x", [0] * 17]),
        "message.command",
    )
    answer = [bytes(8), bytes(16), -19, bytes(32), None]
    yield "low-order key", "challenge", _signed(Typ.CHALLENGE, answer), "key.low-order"
    raw = key("gateway").public.raw
    grant = [raw, b"tallystick/0000000000000000", 1]
    yield "origin of another key", "grant", _signed(Typ.GRANT, grant), "message.grant"
    manifest: list[object] = [7, 0, b"1.2.0", 0, None, 2566, 300, bytes(32)]
    rows = [
        ("a field less", manifest[:-1], "update.shape"),
        ("no array", 7, "update.shape"),
        ("counter 0", [0, *manifest[1:]], "field.range"),
        ("counter 2^40", [2**40, *manifest[1:]], "field.range"),
        ("version of 33 bytes", [7, 0, b"1" * 33, *manifest[3:]], "field.range"),
        ("another kind", [7, 0, b"1.2.0", 2, *manifest[4:]], "field.range"),
        ("an index of 0 bytes", [*manifest[:6], 0, bytes(32)], "field.range"),
        ("an index of 16385 bytes", [*manifest[:6], 16_385, bytes(32)], "field.range"),
        ("a hash of 31 bytes", [*manifest[:7], bytes(31)], "field.range"),
    ]
    for name, payload, code in rows:
        yield f"manifest: {name}", "manifest", _signed(Typ.UPDATE, payload), code
    yield "manifest: a grant", "manifest", _signed(Typ.GRANT, manifest), "cose.typ"


def _notes() -> Iterator[Bad]:
    world = World()
    good = world.log.checkpoint().decode()
    origin = world.log.origin
    rows = [
        ("no signature line", good.split("\n\n")[0] + "\n", "note.shape"),
        ("no final newline", good[:-1], "note.shape"),
        ("not UTF-8", "", "note.text"),
        ("control character", good.replace("\n0\n", "\n0\x1b\n"), "note.text"),
        ("carriage return", good.replace("\n", "\r\n"), "note.text"),
        ("hyphen for the dash", good.replace("\N{EM DASH}", "-"), "note.signature-line"),
        (
            "signature not base64",
            good.replace("\N{EM DASH} " + origin + " ", "\N{EM DASH} " + origin + " ?"),
            "note.signature-line",
        ),
        ("33 signature lines", good + good.split("\n\n")[1] * 32, "note.signatures"),
        ("size with a leading zero", good.replace("\n0\n", "\n00\n"), "checkpoint.size"),
        ("size negative", good.replace("\n0\n", "\n-1\n"), "checkpoint.size"),
        ("size 2^63", good.replace("\n0\n", f"\n{2**63}\n"), "checkpoint.size"),
        ("an extension line", good.replace("\n\n", "\nmore\n\n"), "checkpoint.shape"),
        ("root of 31", good.replace(good.split("\n")[2], "AA" * 20 + "A="), "checkpoint.root"),
        ("no origin", good.replace(origin, "", 1), "checkpoint.origin"),
    ]
    for name, text, code in rows:
        raw = b"\xff" + good.encode() if name == "not UTF-8" else text.encode()
        yield name, "checkpoint", raw, code
    line = str(world.policy.gateways[0].vkey)
    yield "wrong key id", "vkey", line.replace("+", "+0", 1).encode(), "note.vkey"
    yield "cut short", "vkey", line[:-4].encode(), "note.vkey"


def _blocks() -> Iterator[Bad]:
    one, two = bytes(32), b"\x01" * 32
    signer = key("ledger")
    kind = BlockKind.ANCHOR
    yield "no parents", "block", block.sign(signer, [], 1, kind, b""), "block.parents"
    yield "one parent twice", "block", block.sign(signer, [one, one], 1, kind, b""), "block.parents"
    many = [bytes([i]) * 32 for i in range(5)]
    yield "5 parents", "block", block.sign(signer, many, 1, kind, b""), "block.parents"
    genesis = block.sign(signer, [one], 1, BlockKind.GENESIS, b"x")
    yield "genesis with a parent", "block", genesis, "block.parents"
    yield "an anchor of text", "block", block.sign(signer, [one], 1, kind, "x"), "block.body"
    yield "kind 4", "block", _signed(Typ.BLOCK, [[one], 1, 4, b""]), "block.kind"
    yield "kind true", "block", _signed(Typ.BLOCK, [[one], 1, True, b""]), "block.kind"
    stone = [bytes(8), 1, one, 0, 1, bytes(32)]
    other = block.sign(signer, [two, one], 1, BlockKind.MILESTONE, stone)
    yield "another first parent", "milestone", other, "milestone.parents"
    zero = block.sign(signer, [one], 1, BlockKind.MILESTONE, [bytes(8), 0, one, 0, 1, bytes(32)])
    yield "index 0", "milestone", zero, "field.range"
    idle = block.sign(signer, [one], 1, BlockKind.MILESTONE, [bytes(8), 1, one, 1, 1, bytes(32)])
    yield "confirms nothing", "milestone", idle, "milestone.position"
    yield "an anchor", "milestone", block.sign(signer, [one], 1, kind, b""), "milestone.kind"
    yield "three elements", "confirmed", cbor.encode([b"", 0, []]), "confirmed.shape"


def _statements() -> Iterator[Bad]:
    device = did.did_key(key("device").public)
    rows: list[tuple[str, list[object], str]] = [
        ("too short", [device, bytes(8), None], "statement.shape"),
        ("device is bytes", [device.encode(), bytes(8), None, 5], "statement.device"),
        ("kind 10", [device, bytes(8), None, 10], "statement.kind"),
        ("registered to nobody", [device, bytes(8), None, 0], "statement.args"),
        ("stolen with an argument", [device, bytes(8), None, 5, b"x"], "statement.args"),
        ("argument of text", [device, bytes(8), None, 1, "x"], "statement.args"),
        ("owner by did:web", [device, bytes(8), None, 0, b"did:web:x"], "did.method"),
        ("reason with a line break", [device, bytes(8), None, 1, b"a\nb"], "field.text"),
        ("ledger of 7", [device, bytes(7), None, 5], "field.range"),
    ]
    for name, fields, code in rows:
        yield name, "statement", _signed(Typ.STATEMENT, fields), code
    claims = {1: device, 2: device, 5: START}
    bad: list[tuple[str, dict[int, Any], str]] = [
        ("no nbf", {1: device, 2: device}, "credential.claims"),
        ("an unknown claim", {**claims, 6: START}, "credential.claims"),
        ("exp null", {**claims, 4: None}, "credential.claims"),
        ("iss with a control character", {**claims, 1: "did:x:\x1b[2J"}, "credential.did"),
        ("sub by did:web", {**claims, 2: "did:web:x"}, "did.method"),
        ("role admin", {**claims, -65537: "admin"}, "credential.role"),
        (
            "cnf of another curve",
            {**claims, 8: {1: {1: 1, -1: 4, -2: bytes(32)}}},
            "credential.cnf",
        ),
        (
            "cnf: y as a number",
            {**claims, 8: {1: {1: 2, -1: 1, -2: bytes(32), -3: 1}}},
            "credential.cnf",
        ),
        ("cnf of low order", {**claims, 8: {1: {1: 1, -1: 6, -2: bytes(32)}}}, "key.low-order"),
    ]
    for name, said, code in bad:
        yield name, "credential", _signed(Typ.CREDENTIAL, said), code


def _proofs() -> Iterator[Bad]:
    world = World()
    opened, reading = world.device.open().raw, world.device.readings().raw
    world.log.add(opened)
    note = world.log.checkpoint()
    path = cbor.encode([0, []])
    posted = world.state(world.issuer, StatementKind.RETIRED)
    world.ledger.milestone(START)
    stated = world.ledger.confirmed(posted).encode()
    good = [[1, opened], [4, path], [5, note]]
    rows: list[tuple[str, object, str]] = [
        ("another magic", ["tarry", 1, good], "proof.magic"),
        ("version 2", ["tally", 2, good], "proof.version"),
        ("version true", ["tally", True, good], "proof.version"),
        ("the parts a map", ["tally", 1, {}], "proof.parts"),
        ("a part of three", ["tally", 1, [[1, opened, 0]]], "proof.parts"),
        ("no parts", ["tally", 1, []], "proof.no-record"),
        ("types not in order", ["tally", 1, [good[1], good[0], good[2]]], "proof.order"),
        ("an unknown type", ["tally", 1, [*good, [99, b""]]], "proof.part-type"),
        ("a transaction of nothing", ["tally", 1, [*good, [7, b"\xf6"]]], "transaction.shape"),
        ("type true", ["tally", 1, [[True, opened], *good[1:]]], "proof.part-type"),
        ("two checkpoints", ["tally", 1, [*good, good[2]]], "proof.count"),
        ("no checkpoint", ["tally", 1, good[:2]], "proof.checkpoint"),
        ("two inclusions for one record", ["tally", 1, [*good[:2], *good[1:]]], "proof.inclusions"),
        (
            "an inclusion of one",
            ["tally", 1, [good[0], [4, b"\x81\x00"], good[2]]],
            "proof.inclusion",
        ),
        ("one record twice", ["tally", 1, [good[0], *good]], "proof.order"),
        ("a reading as open", ["tally", 1, [good[0], [2, reading], *good[1:]]], "proof.kind"),
        ("a reading as rotation", ["tally", 1, [good[0], [3, reading], *good[1:]]], "proof.kind"),
        ("a link that is the record", ["tally", 1, [*good, [10, opened]]], "proof.order"),
        ("a statement as anchor", ["tally", 1, [*good[:2], [6, stated]]], "proof.anchor"),
        ("a fork of one", ["tally", 1, [*good, [12, cbor.encode([opened])]]], "proof.fork"),
    ]
    for name, value, code in rows:
        yield name, "proof", cbor.encode(value), code
    proof.parse(cbor.encode(["tally", 1, good]))  # what is refused differs from this, which is not
