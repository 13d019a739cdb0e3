"""What becomes of a message: every outcome with its evidence, every bad message with its own code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cbor2
import pytest

from tallystick import cbor, cose, credential, message, record, topics
from tallystick.body import CheckpointRef, Event, EventCode, Readings, Rotate
from tallystick.cose import Typ
from tallystick.did import did_key
from tallystick.keys import ED25519, ESP256, PrivateKey
from tallystick.record import Record
from tallystick_gateway import bounds
from tallystick_gateway.enrolment import EnrolledDevice
from tallystick_gateway.examine import Message
from tallystick_gateway.intake import Batch, Intake
from tallystick_gateway.rows import Rejected
from tallystick_gateway.store import Store
from tests.gateway.boards import OPEN, START, Board

GATEWAY = bytes(range(8))
NOW = START + 5
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Door:
    """An intake over a database of its own."""

    def __init__(self, folder: Path, *boards: Board) -> None:
        self.path = folder / "gateway.db"
        self.store = Store.open(self.path)
        self.boards = boards
        self.intake = self.fresh()

    def fresh(self) -> Intake:
        """An intake that has to read its chains from the database."""
        intake = Intake(self.store, GATEWAY)
        intake.devices = {b.id: EnrolledDevice(b.id, b.did, None, None) for b in self.boards}
        return intake

    def take(self, board: Board, *records: Record | bytes) -> Batch:
        """One batch of messages on the board's topic."""
        return self.take_raw(
            topics.Device(board.id).up, *(r.raw if isinstance(r, Record) else r for r in records)
        )

    def take_raw(self, topic: str, *payloads: bytes) -> Batch:
        """One batch of messages on any topic."""
        messages = [Message(topic, raw, len(raw), NOW) for raw in payloads]
        return self.intake.commit(self.intake.examine(messages), NOW)

    def upto(self, board: Board) -> int | None:
        """Of the board's chain, as the database has it."""
        return self.fresh().chain(self.intake.devices[board.id]).upto

    def last_rejected(self) -> Rejected:
        """The newest message in quarantine."""
        return self.store.quarantined(1)[0][1]


@pytest.fixture
def board() -> Board:
    """A board with an Ed25519 key."""
    return Board()


@pytest.fixture
def door(tmp_path: Path, board: Board) -> Door:
    """A door at which `board` is enrolled."""
    return Door(tmp_path, board)


# ---- outcomes


def test_a_chain_is_admitted_in_order(door: Door, board: Board) -> None:
    """Records in their order become leaves in that order, byte for byte."""
    records = board.fill(4)
    batch = door.take(board, *records)

    assert {"admitted": 4} == batch.results
    assert [r.raw for r in records] == door.store.entries(0, 10)
    assert 3 == door.upto(board)


def test_a_record_out_of_order_fills_its_gap(door: Door, board: Board) -> None:
    """A late record closes the gap that was shown; until then the acknowledgement stays below it."""
    records = board.fill(5)
    door.take(board, records[0], records[3], records[4])
    assert 0 == door.upto(board)
    assert [range(1, 3)] == door.intake.chain(door.intake.devices[board.id]).missing

    door.take(board, records[2], records[1])

    assert 4 == door.upto(board)
    assert [0, 3, 4, 2, 1] == [row[2] for row in door.store.leaves()]


def test_a_duplicate_is_counted_once(door: Door, board: Board) -> None:
    """A redelivered record is neither a second leaf nor an error."""
    records = board.fill(2)
    door.take(board, *records)
    batch = door.take(board, *records, records[1])

    assert {"duplicate": 3} == batch.results
    assert 2 == door.store.size()
    assert [board.id] == list(batch.touched)


def test_a_twin_is_a_duplicate(tmp_path: Path) -> None:
    """A SIM that signs the same content anew must not look like a clone."""
    board = Board(alg=ESP256)
    door = Door(tmp_path, board)
    opened = board.open()
    twin = board.make(0, opened.prev, OPEN)
    door.take(board, opened)

    assert opened.raw != twin.raw
    assert {"duplicate": 1} == door.take(board, twin).results
    assert 1 == door.store.size()


def test_a_fork_is_logged_with_its_pair(door: Door, board: Board) -> None:
    """Two records of one seq are evidence against the key: both are kept, and the pair can be shown."""
    records = board.fill(3)
    door.take(board, *records)
    other = board.make(1, records[0].id, Readings(0, 0, ((1,),)))

    batch = door.take(board, other)

    assert {"fork": 1} == batch.results
    assert [other.raw] == door.store.entries(3, 9)
    ((leaf, seq, result, against, _),) = door.store.evidence(board.id, 9)
    assert (3, 1, "fork", records[1].id) == (leaf, seq, result, against)
    (fork,) = door.fresh().chain(door.intake.devices[board.id]).forks
    assert (1, records[1].id, other.id) == (fork.seq, fork.first, fork.second)
    assert 2 == door.upto(board)
    assert {"duplicate": 1} == door.take(board, other).results
    assert 4 == door.store.size()


def test_a_successor_of_something_else_is_a_fork(door: Door, board: Board) -> None:
    """A record spliced onto another device's chain is evidence, and no part of this chain."""
    records = board.fill(2)
    door.take(board, *records)
    stranger = Board().fill(2)
    spliced = board.make(2, stranger[1].id, Readings(0, 0, ((1,),)))

    assert {"fork": 1} == door.take(board, spliced).results
    assert 1 == door.upto(board)


def test_the_old_key_after_a_rotation_is_a_fork(door: Door, board: Board) -> None:
    """A key that was replaced and still signs has been copied."""
    board.fill(2)
    old, new = board.key, PrivateKey.generate()
    board.rotate(new)
    board.open()
    board.read()
    assert {"admitted": 5} == door.take(board, *board.records).results
    board.key = old

    late = board.make(5, board.records[4].id, Readings(3, 0, ((1,),)))

    assert {"fork": 1} == door.take(board, late).results
    assert board.id == door.store.device_of_key(new.public.kid)


def test_an_adoption_disowns_what_it_left_behind(door: Door, board: Board) -> None:
    """After a board was restored, its lost branch is kept as disowned, and is no fork."""
    records = board.fill(2)
    lost = board.make(2, records[1].id, Readings(0, 0, ((7,),)))
    board.event(EventCode.ADOPTED, 1, GATEWAY, START)
    door.take(board, *board.records)

    assert {"disowned": 1} == door.take(board, lost).results
    assert "disowned" == door.store.evidence(board.id, 9)[0][2]
    assert 2 == door.upto(board)
    assert {"duplicate": 1} == door.take(board, lost).results


def test_an_event_gives_a_gap_up(door: Door, board: Board) -> None:
    """A board that lost records says so, and is acknowledged beyond them."""
    records = board.fill(4)
    board.event(EventCode.DROPPED, 1, 2)
    door.take(board, records[0], records[3])
    assert 0 == door.upto(board)

    door.take(board, board.records[4])

    assert 4 == door.upto(board)


def test_evidence_has_a_limit(door: Door, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder of a stolen key can prove the theft, not fill the disk."""
    monkeypatch.setattr(bounds, "EVIDENCE_RECORDS", 3)
    records = board.fill(2)
    door.take(board, *records)
    forks = [board.make(1, records[0].id, Readings(0, 0, ((i,),))) for i in range(5)]

    batch = door.take(board, *forks)

    assert {"fork": 3, "rejected": 2} == batch.results
    assert "chain.evidence" == door.last_rejected().code
    assert 5 == door.store.size()


def test_a_claim_about_our_own_log_is_handed_on(door: Door, board: Board) -> None:
    """The fork guard hears of what an `open` or a beacon shows of our own origin, and of no other."""
    own, other = CheckpointRef(GATEWAY, 7, bytes(32)), CheckpointRef(bytes(8), 9, bytes(32))
    board.open(checkpoint=own)
    board.beacon(checkpoint=other)
    board.beacon(checkpoint=own, nonce=bytes(16))

    batch = door.take(board, *board.records)

    assert [own, own] == [ref for _, ref in batch.shown]
    assert [(board.id, bytes(16))] == batch.nonces


# ---- bad messages


@dataclass(frozen=True)
class Bad:
    """How to make it, and the code that names it."""

    make: Callable[[Board], bytes]
    code: str


def _parts(raw: bytes) -> list[object]:
    value = cbor2.loads(raw)
    return list(value.value)


def _whole(parts: list[object], tag: int = 18) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(tag, parts))


def _with(position: int, value: object) -> Callable[[Board], bytes]:
    def make(board: Board) -> bytes:
        parts = _parts(board.records[1].raw)
        parts[position] = value
        return _whole(parts)

    return make


def _protected(header: bytes) -> Callable[[Board], bytes]:
    """A record whose protected header is `header`, signed over exactly that."""

    def make(board: Board) -> bytes:
        payload = board.records[1].signed.payload
        signature = board.key.sign(cose.sig_structure(header, payload))
        return _whole([header, {}, payload, signature])

    return make


def _header(**changed: object) -> Callable[[Board], bytes]:
    def make(board: Board) -> bytes:
        fields = {1: ED25519, 4: board.id, 16: int(Typ.RECORD)}
        fields.update({int(name[1:]): value for name, value in changed.items()})
        left = {key: value for key, value in sorted(fields.items()) if value is not None}
        return _protected(cbor2.dumps(left))(board)

    return make


def _payload(change: Callable[[list[object]], object]) -> Callable[[Board], bytes]:
    """A record with a changed payload and a valid signature over it."""

    def make(board: Board) -> bytes:
        fields = cbor2.loads(board.records[1].signed.payload)
        changed = change(list(fields))
        return cose.sign(board.key, Typ.RECORD, cbor2.dumps(changed))

    return make


def _raw_payload(encoded: bytes) -> Callable[[Board], bytes]:
    return lambda board: cose.sign(board.key, Typ.RECORD, encoded)


def _flipped(at: int) -> Callable[[Board], bytes]:
    def make(board: Board) -> bytes:
        raw = bytearray(board.records[1].raw)
        raw[at] ^= 1
        return bytes(raw)

    return make


def _malleated(board: Board) -> bytes:
    parts = _parts(board.records[1].raw)
    signature = board.records[1].signed.signature
    s = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    parts[3] = signature[:32] + s.to_bytes(32, "little")
    return _whole(parts)


def _false_possession(board: Board) -> bytes:
    new = PrivateKey.generate()
    seq, prev = board.head
    return board.make(seq, prev, Rotate(new.public, board.key.sign(b"something else"))).raw


BAD = {
    "nothing": Bad(lambda b: b"", "cbor.malformed"),
    "not cbor": Bad(lambda b: b"\xff\xff", "cbor.malformed"),
    "cut short": Bad(lambda b: b.records[1].raw[:-1], "cbor.malformed"),
    "trailing bytes": Bad(lambda b: b.records[1].raw + b"\x00", "cbor.not-deterministic"),
    "reserved additional information": Bad(lambda b: b"\xd2\x1c", "cbor.malformed"),
    "indefinite array": Bad(
        lambda b: b"\xd2\x9f" + b.records[1].raw[2:] + b"\xff", "cbor.malformed"
    ),
    "length of four gigabytes": Bad(lambda b: b"\xd2\x84\x5a\xff\xff\xff\xff", "cbor.malformed"),
    "nesting bomb": Bad(lambda b: b"\x81" * 2000 + b"\x00", "cbor.malformed"),
    "nested too deep": Bad(lambda b: b"\x81" * 12 + b"\x00", "cbor.too-deep"),
    "shared reference": Bad(lambda b: b"\xd8\x1c\x81\xd8\x1d\x00", "cbor.type"),
    "too long": Bad(lambda b: b.records[1].raw + bytes(4096), "cbor.too-long"),
    "no tag": Bad(lambda b: b.records[1].raw[1:], "cose.tag"),
    "tag of COSE_Mac0": Bad(lambda b: _whole(_parts(b.records[1].raw), 17), "cbor.type"),
    "tag of COSE_Sign": Bad(lambda b: _whole(_parts(b.records[1].raw), 98), "cbor.type"),
    "bare payload": Bad(lambda b: b.records[1].signed.payload, "cose.tag"),
    "three parts": Bad(lambda b: _whole(_parts(b.records[1].raw)[:3]), "cose.shape"),
    "unprotected header": Bad(_with(1, {4: bytes(8)}), "cose.unprotected"),
    "no payload": Bad(_with(2, None), "cose.payload"),
    "no signature": Bad(_with(3, None), "cose.signature"),
    "empty signature": Bad(_with(3, b""), "cose.signature"),
    "garbage after the signature": Bad(_with(3, bytes(65)), "cose.signature"),
    "signature of zeros": Bad(_with(3, bytes(64)), "signature.wrong"),
    "protected not encoded": Bad(_with(0, {1: -19}), "cose.protected"),
    "crit": Bad(_header(_2=[16]), "cose.protected"),
    "alg missing": Bad(_header(_1=None), "cose.protected"),
    "alg none": Bad(_header(_1=0), "cose.algorithm"),
    "alg EdDSA of old": Bad(_header(_1=-8), "cose.algorithm"),
    "alg of the other curve": Bad(_header(_1=ESP256), "signature.key"),
    "short kid": Bad(_header(_4=bytes(7)), "cose.kid"),
    "typ of an acknowledgement": Bad(_header(_16=int(Typ.ACKNOWLEDGEMENT)), "cose.typ"),
    "typ changed after signing": Bad(
        lambda b: _with(0, cose.protected_header(ED25519, b.id, Typ.COMMAND))(b), "cose.typ"
    ),
    "kid changed after signing": Bad(
        lambda b: _with(0, cose.protected_header(ED25519, bytes(8), Typ.RECORD))(b),
        "chain.unknown-key",
    ),
    "duplicate header": Bad(
        lambda b: _protected(b"\xa3\x01\x32\x01\x32\x04\x48" + b.id)(b), "cbor.malformed"
    ),
    "unsorted header": Bad(
        lambda b: _protected(b"\xa3\x04\x48" + b.id + b"\x01\x32\x10\x19\xfd\xe8")(b),
        "cbor.not-deterministic",
    ),
    "a credential": Bad(
        lambda b: credential.sign(b.key, did_key(b.key.public), b.did, START), "cose.typ"
    ),
    "a challenge's answer": Bad(
        lambda b: message.sign_challenge(b.key, device=b.id, nonce=bytes(16), next_seq=1),
        "cose.typ",
    ),
    "payload changed": Bad(
        lambda b: b.records[1].raw.replace(b"\x19\x08\x67", b"\x19\x08\x68"), "signature.wrong"
    ),
    "signature changed": Bad(_flipped(-1), "signature.wrong"),
    "S above the order": Bad(_malleated, "signature.wrong"),
    "payload is a map": Bad(_payload(lambda f: {1: 2}), "record.shape"),
    "a map inside": Bad(_payload(lambda f: [*f[:4], {}]), "record.type"),
    "a text inside": Bad(_payload(lambda f: [*f[:4], "x"]), "record.type"),
    "a float": Bad(_payload(lambda f: [*f[:3], 1.5, *f[4:]]), "cbor.type"),
    "a long integer": Bad(
        lambda b: _raw_payload(
            b"\x87\x18\x01" + cbor2.dumps(cbor2.loads(b.records[1].signed.payload))[2:]
        )(b),
        "cbor.not-deterministic",
    ),
    "bytes after the payload": Bad(
        lambda b: _raw_payload(b.records[1].signed.payload + b"\x00")(b), "cbor.not-deterministic"
    ),
    "seq beyond its range": Bad(_payload(lambda f: [2**40, *f[1:]]), "field.range"),
    "negative seq": Bad(_payload(lambda f: [-1, *f[1:]]), "field.range"),
    "time beyond its range": Bad(_payload(lambda f: [*f[:2], 2**40, *f[3:]]), "field.range"),
    "short prev": Bad(_payload(lambda f: [f[0], bytes(31), *f[2:]]), "field.range"),
    "unknown kind": Bad(_payload(lambda f: [*f[:3], 9, *f[4:]]), "record.kind"),
    "columns of two lengths": Bad(
        _payload(lambda f: [*f[:3], 1, 0, 1, [1, 2], [1]]), "record.columns"
    ),
    "a value beyond 64 bits": Bad(
        _payload(lambda f: [*f[:3], 1, 0, 1, [2**63 - 1, 1]]), "record.columns"
    ),
    "an interval too many": Bad(
        _payload(lambda f: [*f[:3], 1, 0, [1, 1], [1, 2]]), "record.interval"
    ),
    "an event that gives up the future": Bad(
        _payload(lambda f: [*f[:3], 3, int(EventCode.DROPPED), 5, 9]), "record.event"
    ),
    "seq 0 that is no open": Bad(
        lambda b: b.make(0, record.genesis(b.first_key), Event(100)).raw, "chain.genesis"
    ),
    "another device's genesis": Bad(
        lambda b: b.make(0, record.genesis(Board().first_key), OPEN).raw, "chain.genesis"
    ),
    "a key of nobody": Bad(lambda b: Board().open().raw, "chain.unknown-key"),
    "a rotation to somebody else's key": Bad(_false_possession, "chain.possession"),
    "a kid that lies": Bad(
        lambda b: record.sign(_Impostor(b), 1, b.records[0].id, START, b.records[1].body),
        "signature.wrong",
    ),
}


class _Impostor:
    """Signs with a key of its own under another's name."""

    def __init__(self, board: Board) -> None:
        self.public = board.key.public
        self._key = PrivateKey.generate()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_is_refused_by_name(door: Door, board: Board, name: str) -> None:
    """Each way to be wrong has its own code, is kept with its reason, and stops nobody else."""
    records = board.fill(2)
    bad = BAD[name]
    raw = bad.make(board)
    assert raw not in {r.raw for r in records}

    batch = door.take(board, records[0], raw, records[1])

    assert {"admitted": 2, "rejected": 1} == batch.results
    kept = door.last_rejected()
    assert bad.code == kept.code
    assert (raw[: len(kept.raw)], len(raw), board.id) == (kept.raw, kept.length, kept.device)
    assert [bad.code] == [refusal.code for refusal in batch.refusals]
    assert 1 == door.upto(board)


def test_a_high_s_is_refused(tmp_path: Path) -> None:
    """Anybody can turn a P-256 signature into a second one; only the lower of the two counts."""
    board = Board(alg=ESP256)
    door = Door(tmp_path, board)
    parts = _parts(board.open().raw)
    signature = board.records[0].signed.signature
    s = P256_ORDER - int.from_bytes(signature[32:], "big")
    parts[3] = signature[:32] + s.to_bytes(32, "big")

    door.take(board, _whole(parts))

    assert "signature.high-s" == door.last_rejected().code


def test_a_record_under_another_device_s_topic(tmp_path: Path, board: Board) -> None:
    """The broker's topic gives no record to a device that did not sign it, enrolled or not."""
    other, stranger = Board(), Board()
    door = Door(tmp_path, board, other)
    opened = board.open()

    assert [other.id] == [r.device for r in door.take(other, opened).refusals]
    assert "topic.device" == door.last_rejected().code
    assert [] == door.take(stranger, opened).refusals
    assert "topic.device" == door.last_rejected().code
    assert [] == door.take(stranger, stranger.open()).refusals
    assert "device.not-enrolled" == door.last_rejected().code
    assert [] == door.take_raw("tallystick/v1/gateway/up", opened.raw).refusals
    assert "topic.device" == door.last_rejected().code
    assert [] == door.take_raw("tallystick/v1/" + board.id.hex().upper() + "/up", b"").refusals
    assert 0 == door.store.size()


def test_a_rotated_key_is_known_as_its_device_s(tmp_path: Path, board: Board) -> None:
    """After a rotation the new key is still no key of anybody else's topic."""
    other = Board()
    door = Door(tmp_path, board, other)
    board.open()
    board.rotate(PrivateKey.generate())
    opened = board.open()
    door.take(board, *board.records)
    door.take(other, opened)

    assert "topic.device" == door.last_rejected().code


def test_the_quarantine_has_one_budget(
    door: Door, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of garbage costs a fixed amount of disk; the oldest goes and is counted."""
    monkeypatch.setattr(bounds, "QUARANTINE_ROWS", 10)
    for i in range(6):
        door.take(board, *(bytes([i, j]) for j in range(4)))

    rows, held = door.store.quarantine_load()
    assert (10, 20) == (rows, held)
    assert {"rejected": 24, "evicted": 14} == door.store.counters()
    monkeypatch.setattr(bounds, "QUARANTINE_BYTES", 100)
    door.take(board, bytes(90))
    assert (6, 100) == door.store.quarantine_load()


def test_a_bug_of_ours_costs_one_message(
    door: Door, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that our own code stumbles over goes to quarantine; its neighbours are taken in."""
    records = board.fill(3)
    honest = Store.add_leaf

    def stumble(self: Store, idx: int, device: bytes, parsed: Record, result: object) -> None:
        if parsed.seq == 2:
            raise ZeroDivisionError
        honest(self, idx, device, parsed, result)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "add_leaf", stumble)
    batch = door.take(board, *records)

    assert {"admitted": 2, "rejected": 1} == batch.results
    assert "gateway.internal" == door.last_rejected().code
    assert 1 == door.upto(board)


def test_a_failed_transaction_leaves_nothing(
    door: Door, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk loses no record: the chain in memory is no further than the one on disk."""
    import sqlite3

    records = board.fill(3)

    def full(self: Store, row: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put_devices", full)
        with pytest.raises(sqlite3.OperationalError):
            door.take(board, *records)
    assert 0 == door.store.size()

    assert {"admitted": 3} == door.take(board, *records).results


def test_a_device_enrolled_with_another_key_of_the_same_id(door: Door, board: Board) -> None:
    """A chain that began with one key is never continued by a collision of its id."""
    door.take(board, board.open())
    held = door.intake.devices[board.id]
    door.intake.devices = {board.id: replace(held, did=Board().did)}

    door.take(board, board.read())

    assert "device.key" == door.last_rejected().code


def test_encoding_of_the_tests_themselves() -> None:
    """The bad messages differ from good ones by what their name says, not by their encoder."""
    board = Board()
    board.fill(2)
    raw = board.records[1].raw

    assert raw == _whole(_parts(raw))
    assert raw == cbor.encode(cbor.decode(raw))
    assert raw == _header()(board)
