"""Verification, step by step (docs/format.md, section 12): each step, each way that it can end.

Every proof here is judged twice, by the library and by `tests/independent_verifier.py`, which was
written from the page alone; the two must say the same. The second knows Ed25519 only and judges no
statements: it gets the proofs without them.
"""

from __future__ import annotations

import ast
import contextlib
import json
import random
import re
import subprocess
import sys
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from tallystick import block, cbor, checkpoint, cose, did, merkle, proof, record, verify
from tallystick.block import BlockKind
from tallystick.body import Channel, CheckpointRef, EventCode, MilestoneRef
from tallystick.cose import Typ
from tallystick.errors import FormatError, PathError, TallystickError
from tallystick.policy import REQUIRABLE, Policy
from tallystick.statement import StatementKind as Say
from tallystick.verdict import Outcome, Status, Verdict, worst
from tests import independent_verifier
from tests.world import START, Device, Ledger, SimKey, World, key, small

DAY_S = 86_400
INDEPENDENT = Path(independent_verifier.__file__)
ROOT = INDEPENDENT.parent.parent
LINES = 470


def trusted(policy: Policy) -> tuple[list[str], ...]:
    """The policy as the plain arguments of the second verifier."""
    return (
        [one.did for one in policy.issuers],
        [str(one.vkey) for one in policy.gateways],
        [str(one.vkey) for one in policy.ledgers],
        [f"{one.vkey}={one.account}" for one in policy.bridges],
    )


def in_scope(data: bytes) -> bytes:
    """The proof as the second verifier judges it: without its statements."""
    with contextlib.suppress(TallystickError):
        magic, version, parts = _three(data)
        return cbor.encode([magic, version, [part for part in parts if part[0] != 9]])
    return data


def _three(data: bytes) -> Any:
    """Magic, version and parts of a proof file."""
    value: Any = cbor.decode(data)
    if not isinstance(value, list) or len(value) != 3:
        raise FormatError("proof.magic", "not a proof file")
    return value


def judge(world: World, data: bytes, policy: Policy | None = None) -> Verdict:
    """The library's verdict; on the part that both judge, both verifiers agree."""
    policy = policy or world.policy
    bare = in_scope(data)
    if policy.required == REQUIRABLE:
        first = verify.verify(bare, policy)
        second = independent_verifier.verify(bare, *trusted(policy))
        said = independent_verifier.verdict(second)
        assert first.status.value == said, (first.checks, second)
    return verify.verify(data, policy)


def outcome(verdict: Verdict, code: str) -> Outcome | None:
    check = verdict.check(code)
    return check.result if check else None


def flipped(raw: bytes, at: int = -1) -> bytes:
    """`raw` with one bit changed; the last byte of a signed object is one of its signature's."""
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)


# ---- a good proof


def test_verified() -> None:
    """An honest proof would not be believed."""
    world, data = small()
    verdict = judge(world, data)
    assert Status.VERIFIED is verdict.status
    assert 0 == verdict.exit_status
    assert {Outcome.OK} == {check.result for check in verdict.checks}
    assert (world.device.did, world.issuer_did) == (verdict.device, verdict.issuer)
    assert (1, 1, 4) == (verdict.first, verdict.last, verdict.readings)
    assert (None, world.ledger.milestones[-1].time) == (verdict.not_before, verdict.not_after)
    assert (world.log.origin, world.ledger.id.hex()) == (verdict.gateway, verdict.ledger)


def test_verified_for_a_sim_key() -> None:
    """A board whose key is in its SIM could prove nothing."""
    world = World(SimKey("sim"))
    world.device.open()
    reading = world.device.readings()
    world.publish()
    assert Status.VERIFIED is judge(world, world.prove([reading])).status


def test_a_parsed_proof_is_as_good_as_its_bytes() -> None:
    """A program that has looked into the file would get another verdict."""
    world, data = small()
    assert verify.verify(data, world.policy) == verify.verify(proof.parse(data), world.policy)


# ---- 1. proof.format


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x83", b"not a proof", bytes(1000)])
def test_step_1_malformed(data: bytes) -> None:
    """'Forged' and 'not a proof file' would be one word."""
    world = World()
    verdict = judge(world, data)
    assert Status.UNDECIDED is verdict.status
    assert [("proof.format", Outcome.UNDECIDED)] == [(c.code, c.result) for c in verdict.checks]
    assert verdict.device is None


def test_step_1_reserved_parts() -> None:
    """A part that nobody judges would be carried as if somebody had."""
    world, data = small()
    magic, version, parts = _three(data)
    for reserved in (0, 15):
        more = sorted([*parts, [reserved, b""]], key=itemgetter(0))
        changed = cbor.encode([magic, version, more])
        with pytest.raises(FormatError, match=r"^proof\.part-type"):
            proof.parse(changed)
        assert Status.UNDECIDED is judge(world, changed).status


# ---- 2. device.credential


def test_step_2_no_credential() -> None:
    """A forgotten credential would look like an unknown device."""
    world, data = small()
    changed = rebuilt(data, credential=None)
    verdict = judge(world, changed)
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == (
        verdict.status,
        outcome(verdict, "device.credential"),
    )
    assert 2 == len(verdict.checks)


def test_step_2_unknown_issuer() -> None:
    """Anyone could certify devices; and the other checks would not be seen."""
    world, data = small()
    verdict = judge(world, data, world.policy.replace(issuers=()))
    assert Status.UNTRUSTED is verdict.status
    assert Outcome.OK is outcome(verdict, "record.signature")


@pytest.mark.parametrize("how", ["stranger signs", "bit flipped"])
def test_step_2_forged_credential(how: str) -> None:
    """Anyone could certify devices in a trusted issuer's name."""
    world, data = small()
    forged = (
        world.credential(key("stranger"))
        if how == "stranger signs"
        else flipped(world.credential())
    )
    verdict = judge(world, rebuilt(data, credential=forged))
    assert (Status.TAMPERED, Outcome.FAILED) == (
        verdict.status,
        outcome(verdict, "device.credential"),
    )


def test_step_2_self_issued() -> None:
    """A device could certify itself."""
    world, data = small()
    own = world.credential(world.device.signer, issuer=world.device.did)
    assert Status.UNTRUSTED is judge(world, rebuilt(data, credential=own)).status


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"expires": None}, Status.VERIFIED),
        ({"not_before": START + DAY_S}, Status.UNTRUSTED),
        ({"expires": START}, Status.UNTRUSTED),
        ({"role": "inspector"}, Status.UNTRUSTED),
    ],
)
def test_step_2_validity(said: dict[str, Any], status: Status) -> None:
    """An expired credential, or a person's, would count for a device."""
    world, data = small()
    assert status is judge(world, rebuilt(data, credential=world.credential(**said))).status


def test_step_2_validity_is_judged_at_the_milestone() -> None:
    """A credential that has expired since would make all old proofs worthless."""
    world, data = small()
    time = world.ledger.milestones[-1].time
    for expires, status in ((time, Status.UNTRUSTED), (time + 1, Status.VERIFIED)):
        changed = rebuilt(data, credential=world.credential(expires=expires))
        assert status is judge(world, changed).status


def test_step_2_credential_of_another_device() -> None:
    """One device's credential would vouch for another's readings."""
    world, data = small()
    other = world.credential(subject=did.did_key(key("other").public))
    verdict = judge(world, rebuilt(data, credential=other))
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == (
        verdict.status,
        outcome(verdict, "record.signature"),
    )


# ---- 3. device.key


def rotated() -> tuple[World, record.Record]:
    """A world whose device has its second key, and a reading by that."""
    world = World()
    world.device.open()
    world.device.readings()
    world.device.rotate(key("second"))
    world.device.open()
    reading = world.device.readings()
    world.publish()
    return world, reading


def test_step_3_rotation() -> None:
    """A board that changed its key could prove nothing any more."""
    world, reading = rotated()
    verdict = judge(world, world.prove([reading]))
    assert Status.VERIFIED is verdict.status
    assert "first key, 1 later" in str(verdict.check("device.key"))
    assert Status.VERIFIED is judge(world, world.prove(world.device.records)).status


def test_step_3_missing_rotation() -> None:
    """'A rotation is missing in the file' would be called forged."""
    world, reading = rotated()
    verdict = judge(world, world.prove([reading], rotations=[]))
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == (
        verdict.status,
        outcome(verdict, "record.signature"),
    )


@pytest.mark.parametrize("how", ["possession", "signature", "stranger"])
def test_step_3_forged_rotation(how: str) -> None:
    """Anyone could hand a device over to a key of their own."""
    world, reading = rotated()
    turn = world.device.records[2]
    if how == "signature":
        forged = flipped(turn.raw)
    else:
        thief = Device(key("stranger") if how == "stranger" else None)
        thief.id, thief.seq, thief.prev = world.device.id, turn.seq, turn.prev
        word = bytes(64) if how == "possession" else None
        forged = thief.rotate(key("second"), possession=word).raw
    verdict = judge(world, world.prove([reading], rotations=[forged]))
    # a key that nothing in the file introduces: the rotation to it may have been left out
    expected = (
        (Status.UNDECIDED, Outcome.UNDECIDED)
        if how == "stranger"
        else (Status.TAMPERED, Outcome.FAILED)
    )
    assert expected == (verdict.status, outcome(verdict, "device.key"))


def test_step_3_a_rotation_twice_in_the_file() -> None:
    """A rotation that stands among the links as well would be called forged."""
    world, _ = rotated()
    turn = world.device.records[2]
    data = world.prove([*world.device.records[1:]], rotations=[turn.raw])
    assert Status.VERIFIED is judge(world, data).status


@pytest.mark.parametrize("first", ["open", "readings"])
def test_step_3_credential_that_names_a_later_key(first: str) -> None:
    """A device whose first key was lost with its SIM could not be certified again."""
    world = World()
    world.device.open()
    world.device.readings()
    world.device.signer = key("replacement")
    opened, reading = world.device.open(), world.device.readings()
    world.publish()
    records = [opened, reading] if first == "open" else [reading]
    named = world.credential(key=key("replacement").public)
    verdict = judge(world, world.prove(records, credential=named))
    assert Status.VERIFIED is verdict.status
    assert Status.UNDECIDED is judge(world, world.prove(records)).status
    everything = world.prove(world.device.records, credential=named)
    assert Status.VERIFIED is judge(world, everything).status


def test_step_3_a_named_key_may_rotate() -> None:
    """The proofs of a device would be called forged once its certified key hands over."""
    world = World()
    world.device.open()
    world.device.signer = key("replacement")
    world.device.open()
    world.device.rotate(key("third"))
    world.device.open()
    reading = world.device.readings()
    world.publish()
    named = world.credential(key=key("replacement").public)
    assert Status.VERIFIED is judge(world, world.prove([reading], credential=named)).status


# ---- 4. record.signature


def test_step_4_changed_reading() -> None:
    """A reading could be changed after the board signed it."""
    world, data = small()
    raw = world.device.records[1].raw
    forged = raw.replace(b"\x18\xd7", b"\x18\xd6")
    assert forged != raw
    verdict = judge(world, rebuilt(data, records=[forged]))
    assert (Status.TAMPERED, Outcome.FAILED) == (
        verdict.status,
        outcome(verdict, "record.signature"),
    )
    assert Outcome.FAILED is outcome(verdict, "log.inclusion")


def test_step_4_strangers_record() -> None:
    """Another key's record would count for this device."""
    world, _ = small()
    stranger = Device(key("stranger"))
    raw = stranger.readings(seq=1, prev=world.device.records[0].id, boot=0).raw
    world.log.add(raw)
    world.anchor()
    world.ledger.milestone(world.device.time)
    parts = {**world.parts([world.device.records[1]]), "records": [raw]}
    parts["inclusions"] = [world.log.inclusion(raw)]
    verdict = judge(world, proof.build(**parts))
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == (
        verdict.status,
        outcome(verdict, "record.signature"),
    )


def test_step_4_forged_open() -> None:
    """Nobody needs to forge a reading who can forge what its columns mean."""
    world, data = small()
    forged = flipped(world.device.records[0].raw)
    assert Status.TAMPERED is judge(world, rebuilt(data, opens=[forged])).status


# ---- 5. record.open


def test_step_5_missing_open() -> None:
    """Columns without names and units would be called proven."""
    world, data = small()
    verdict = judge(world, rebuilt(data, opens=[]))
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == (
        verdict.status,
        outcome(verdict, "record.open"),
    )


def test_step_5_columns_that_do_not_fit() -> None:
    """Values would be shown under another channel's name."""
    world = World()
    world.device.open(channels=[Channel("only", "Cel", 0)])
    reading = world.device.readings()
    world.publish()
    verdict = judge(world, world.prove([reading]))
    assert (Status.TAMPERED, Outcome.FAILED) == (verdict.status, outcome(verdict, "record.open"))


def test_step_5_open_by_a_replaced_key() -> None:
    """Who finds the old key could give the new one's readings another unit."""
    world, reading = rotated()
    old = Device()
    forged = old.open(channels=[Channel("a", "K", 3), Channel("b", "K", 3)], seq=3, prev=bytes(32))
    verdict = judge(world, world.prove([reading], opens=[forged.raw]))
    assert (Status.UNTRUSTED, Outcome.UNTRUSTED) == (
        verdict.status,
        outcome(verdict, "record.open"),
    )


# ---- 6. the chain


def line(count: int = 6) -> World:
    """An open and `count` readings, all logged and anchored."""
    world = World()
    world.device.open()
    for i in range(count):
        world.device.readings([i])
    world.publish()
    return world


def test_step_6_linked() -> None:
    """A whole chain could not be proven in one file."""
    world = line()
    verdict = judge(world, world.prove(world.device.records))
    assert Status.VERIFIED is verdict.status
    assert "6 link(s)" in str(verdict.check("chain.link"))


def test_step_6_a_gap_that_nothing_explains() -> None:
    """A suppressed record would go unnoticed."""
    world = line()
    records = [world.device.records[i] for i in (1, 2, 5, 6)]
    verdict = judge(world, world.prove(records))
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == (verdict.status, outcome(verdict, "chain.gap"))
    assert "3..4" in str(verdict.check("chain.gap"))


def test_step_6_a_gap_that_the_board_explains() -> None:
    """A board that lost storage could never be believed again."""
    world = line()
    event = world.device.event(EventCode.DROPPED, 3, 4)
    world.publish()
    records = [*(world.device.records[i] for i in (1, 2, 5, 6)), event]
    verdict = judge(world, world.prove(records))
    assert Status.VERIFIED is verdict.status
    assert "3..4" in str(verdict.check("chain.gap"))


@pytest.mark.parametrize("required", [REQUIRABLE, ("record.signature",)])
def test_step_6_fork_inside_the_file(required: tuple[str, ...]) -> None:
    """A clone's branch could be told as the chain, if only the policy asks for less."""
    world = line()
    clone = world.device.clone()
    clone.readings([99])
    other = clone.readings([100])
    mine = world.device.readings([7])
    world.admit()
    world.log.add(other.raw)
    world.anchor()
    world.ledger.milestone(world.device.time)
    parts = {**world.parts([mine]), "records": [mine.raw, other.raw]}
    parts["inclusions"] = [world.log.inclusion(raw) for raw in parts["records"]]
    policy = world.policy.replace(required=required)
    verdict = judge(world, proof.build(**parts), policy)
    assert (Status.UNTRUSTED, Outcome.UNTRUSTED) == (verdict.status, outcome(verdict, "chain.fork"))


def test_step_6_genesis_of_another_chain() -> None:
    """A chain could be spliced onto another start."""
    world = World()
    world.device.open(prev=bytes(32))
    world.publish()
    verdict = judge(world, world.prove(world.device.records))
    assert (Status.TAMPERED, Outcome.FAILED) == (verdict.status, outcome(verdict, "chain.link"))


def test_step_6_broken_link_with_a_forged_record() -> None:
    """A record put in between by a stranger would be called the board's own fork."""
    world = line()
    parts = world.parts(world.device.records[1:4])
    thief = Device()
    raw = thief.readings([99], seq=2, prev=world.device.records[1].id, boot=0).raw
    parts["records"][1] = flipped(raw)
    verdict = judge(world, proof.build(**parts))
    assert (Status.TAMPERED, Outcome.FAILED) == (verdict.status, outcome(verdict, "chain.link"))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("kind", ["same seq", "next seq", "replaced key"])
def test_step_6_fork_part(kind: str, turned: bool) -> None:
    """A clone would be believed by whoever was not told of it."""
    world = line(3)
    clone = world.device.clone()
    if kind == "replaced key":
        first = world.device.rotate(key("second"))
        world.device.open()
        second = clone.readings([9], seq=first.seq + 3, prev=bytes(32))
        asked, after = clone.readings([9], seq=first.seq + 4, prev=bytes(32)), Status.UNTRUSTED
        world.device.records.append(asked)
    else:
        first = world.device.readings([7])
        clone.readings([8])
        second = clone.records[-1] if kind == "same seq" else clone.readings([9])
        asked, after = first, Status.UNTRUSTED
    world.publish()
    pair = (second.raw, first.raw) if turned else (first.raw, second.raw)
    parts = {**world.parts([asked]), "forks": [pair], "rotations": []}
    assert after is judge(world, proof.build(**parts)).status
    # what lies before the fork keeps its verdict, and the fork is named
    before = {**world.parts([world.device.records[1]]), "forks": [pair]}
    verdict = judge(world, proof.build(**before))
    assert Status.VERIFIED is verdict.status
    assert any("fork" in note for note in verdict.notes)


@pytest.mark.parametrize("kind", ["two of one chain", "twin", "forged"])
def test_step_6_fork_part_that_proves_nothing(kind: str) -> None:
    """Anyone could brand an honest board with two of its own records."""
    world = World(SimKey("sim") if kind == "twin" else None)
    world.device.open()
    first = world.device.readings()
    clone = world.device.clone()
    clone.seq, clone.prev, clone.time = first.seq, first.prev, first.time
    twin = clone.readings().raw
    second = world.device.readings()
    world.publish()
    other = {"two of one chain": second.raw, "twin": twin, "forged": flipped(second.raw)}[kind]
    verdict = judge(world, world.prove([first], forks=[(first.raw, other)]))
    assert Status.VERIFIED is not verdict.status
    assert Outcome.UNTRUSTED is not outcome(verdict, "chain.fork")
    assert Outcome.UNDECIDED is outcome(verdict, "chain.fork")


def test_step_6_replaced_key() -> None:
    """Who finds the old key could go on with it."""
    world = World()
    world.device.open()
    old = world.device.clone()
    turn = world.device.rotate(key("second"))
    world.device.open()
    late = old.readings(seq=turn.seq + 4, prev=bytes(32), boot=0)
    world.device.records.append(late)
    world.publish()
    verdict = judge(world, world.prove([late], rotations=[turn.raw]))
    assert (Status.UNTRUSTED, Outcome.UNTRUSTED) == (verdict.status, outcome(verdict, "chain.link"))


def test_step_6_disowned() -> None:
    """What a restored board left behind would count."""
    world = line(2)
    left = world.device.clone()
    left.readings([8])
    stray = left.readings([9])
    adopted = world.device.adopt(2, world.device.records[2].id)
    world.admit()
    world.log.add(stray.raw)
    world.anchor()
    world.ledger.milestone(world.device.time)
    parts = {
        **world.parts([adopted]),
        "records": [adopted.raw, stray.raw],
        "opens": [world.device.records[0].raw],
    }
    parts["inclusions"] = [world.log.inclusion(raw) for raw in parts["records"]]
    verdict = judge(world, proof.build(**parts))
    assert (Status.UNTRUSTED, Outcome.UNTRUSTED) == (
        verdict.status,
        outcome(verdict, "chain.disowned"),
    )


# ---- 7 and 8. the log


@pytest.mark.parametrize("how", ["index", "path", "short", "long", "another record"])
def test_step_7_inclusion_that_fails(how: str) -> None:
    """A record that the log never had could be shown as logged."""
    world, data = small()
    index, path = world.log.inclusion(world.device.records[1].raw)
    wrong = {
        "index": (index + 1, path),
        "path": (index, [bytes(32), *path[1:]]),
        "short": (index, path[:-1]),
        "long": (index, [*path, bytes(32)]),
        "another record": world.log.inclusion(world.device.records[2].raw),
    }
    verdict = judge(world, rebuilt(data, inclusions=[wrong[how]]))
    assert (Status.TAMPERED, Outcome.FAILED) == (verdict.status, outcome(verdict, "log.inclusion"))


def test_step_7_no_inclusion() -> None:
    """A record that was never logged would borrow another's anchor."""
    world, data = small()
    changed = rebuilt(data, inclusions=[])
    verdict = judge(world, changed)
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == (
        verdict.status,
        outcome(verdict, "log.inclusion"),
    )
    # a policy may require less, but then no time is proven
    lax = world.policy.replace(required=("record.signature", "device.credential"))
    verdict = judge(world, changed, lax)
    assert (Status.VERIFIED, None) == (verdict.status, verdict.not_after)
    assert Outcome.SKIPPED is outcome(verdict, "log.inclusion")


def test_step_8_unknown_log() -> None:
    """Any gateway could vouch for records."""
    world, data = small()
    verdict = judge(world, data, world.policy.replace(gateways=()))
    assert (Status.UNTRUSTED, Outcome.UNTRUSTED) == (
        verdict.status,
        outcome(verdict, "checkpoint.signature"),
    )


@pytest.mark.parametrize("how", ["stranger", "unsigned", "size"])
def test_step_8_forged_checkpoint(how: str) -> None:
    """Anyone could write the log of a trusted gateway."""
    world, data = small()
    note = checkpoint.parse(world.log.checkpoint())
    if how == "stranger":
        forged = checkpoint.sign(key("stranger"), note.origin, note.size, note.root)
    elif how == "unsigned":
        other = checkpoint.parse(checkpoint.sign(key("stranger"), "somebody", note.size, note.root))
        forged = note.raw.split(b"\n\n")[0] + b"\n\n" + other.raw.split(b"\n\n")[1]
    else:
        forged = note.raw.replace(b"\n5\n", b"\n6\n")
        assert forged != note.raw
    verdict = judge(world, rebuilt(data, anchor=None, checkpoint=forged, statements=[]))
    assert (Status.TAMPERED, Outcome.FAILED) == (
        verdict.status,
        outcome(verdict, "checkpoint.signature"),
    )


def test_step_8_strangers_lines_are_ignored() -> None:
    """A witness's signature would spoil the gateway's."""
    world, _ = small()
    first, second = world.log.checkpoint(), checkpoint.sign(key("w"), "witness", 1, bytes(32))
    note = second.split(b"\n\n")[1] + first.split(b"\n\n")[1]
    body = first.split(b"\n\n")[0] + b"\n\n" + note
    posted = world.anchor(note=body)
    world.ledger.milestone(world.device.time)
    anchor = world.ledger.confirmed(posted).encode()
    reading = world.device.records[1]
    verdict = judge(world, proof.build(**{**world.parts([reading]), "anchor": anchor}))
    assert Status.VERIFIED is verdict.status
    assert "1 signature line(s) of other keys were ignored" in verdict.notes


# ---- 9. the ledger


def test_step_9_pending() -> None:
    """'Not anchored yet' would be called forged, or verified."""
    world, _ = small()
    verdict = judge(world, proof.build(**world.pending([world.device.records[1]])))
    assert (Status.PENDING, 3, None) == (verdict.status, verdict.exit_status, verdict.not_after)
    assert Outcome.PENDING is outcome(verdict, "ledger.inclusion")


@pytest.mark.parametrize("how", ["position", "path", "block"])
def test_step_9_inclusion_that_fails(how: str) -> None:
    """An anchor that was never confirmed could borrow a milestone."""
    world, data = small()
    held = world.ledger.confirmed(world.anchors[-1])
    if how == "position":
        forged = held.replace(position=held.position - 1)
    elif how == "path":
        forged = held.replace(path=(*held.path[:-1], bytes(32)))
    else:
        raw = block.sign(key("x"), held.block.parents, START, BlockKind.ANCHOR, held.block.carried)
        forged = held.replace(block=block.parse(raw))
    verdict = judge(world, rebuilt(data, anchor=forged.encode()))
    assert (Status.TAMPERED, Outcome.FAILED) == (
        verdict.status,
        outcome(verdict, "ledger.inclusion"),
    )


def test_step_9_a_later_milestone() -> None:
    """Whoever builds a proof could choose the time: any later milestone holds the block as well."""
    world, data = small()
    posted = world.anchors[-1]
    later = world.ledger.milestone(START + 9 * DAY_S)
    forged = world.ledger.confirmed(posted, later)
    assert forged.position < later.first
    # the path does lead to the later root: only `first` tells
    leaf = merkle.leaf_hash(forged.block.id)
    merkle.verify_inclusion(leaf, forged.position, later.size, forged.path, later.root)
    with pytest.raises(PathError, match=r"^milestone\.position"):
        forged.verify_inclusion()
    verdict = judge(world, rebuilt(data, anchor=forged.encode()))
    assert (Status.TAMPERED, Outcome.FAILED, None) == (
        verdict.status,
        outcome(verdict, "ledger.inclusion"),
        verdict.not_after,
    )


def test_step_9_unknown_ledger() -> None:
    """Any ledger could say when."""
    world, data = small()
    verdict = judge(world, data, world.policy.replace(ledgers=()))
    assert (Status.UNTRUSTED, None) == (verdict.status, verdict.not_after)
    assert Outcome.UNTRUSTED is outcome(verdict, "ledger.milestone")


def test_step_9_forged_milestone() -> None:
    """Anyone could say when, in a trusted ledger's name."""
    world = World()
    world.device.open()
    world.admit()
    posted = world.anchor()
    world.ledger.milestone(START + DAY_S, signer=key("stranger"))
    verdict = judge(world, world.prove([world.device.records[0]]))
    assert (Status.TAMPERED, Outcome.FAILED) == (
        verdict.status,
        outcome(verdict, "ledger.milestone"),
    )
    assert posted == world.anchors[-1]


def test_step_9_one_keys_second_ledger() -> None:
    """A ledger's key could start a second history and lend it the first one's name."""
    world, _ = small()
    second = Ledger(world.ledger.signer, "another")
    assert second.id != world.ledger.id
    posted = second.post(BlockKind.ANCHOR, world.log.checkpoint(), START)
    second.milestone(START + DAY_S)
    changed = world.prove(
        [world.device.records[1]], anchor=second.confirmed(posted).encode(), statements=[]
    )
    assert Status.UNTRUSTED is judge(world, changed).status


# ---- 10. the standing of the device


def barred(what: Say, *args: bytes) -> tuple[World, bytes, bytes]:
    """A proof anchored before the statement, and one anchored after it."""
    world = World()
    world.device.open()
    before = world.device.readings([1])
    world.register()
    world.publish()
    first = world.anchors[-1]
    world.state(world.issuer, what, *args)
    after = world.device.readings([2])
    world.publish()
    statements = [world.ledger.confirmed(one).encode() for one in world.statements]
    early = proof.build(**{**world.parts([before], anchor=first), "statements": statements})
    return world, early, world.prove([after])


@pytest.mark.parametrize(
    ("what", "args"),
    [
        (Say.STOLEN, ()),
        (Say.SUSPENDED, (b"recall",)),
        (Say.RETIRED, ()),
        (Say.REPLACED, (did.did_key(key("new").public).encode(),)),
    ],
)
def test_step_10_theft_is_ordered_by_position(what: Say, args: tuple[bytes, ...]) -> None:
    """A stolen board would be believed, or everything that it ever said would be lost with it."""
    world, early, late = barred(what, *args)
    assert Status.VERIFIED is judge(world, early).status
    verdict = judge(world, late)
    assert (Status.UNTRUSTED, Outcome.UNTRUSTED) == (
        verdict.status,
        outcome(verdict, "device.status"),
    )


def test_step_10_the_boards_clock_does_not_help() -> None:
    """A thief sets the clock back: readings would count as from before the theft."""
    world, _, _ = barred(Say.STOLEN)
    reading = world.device.readings([3], time=START + 1)
    world.publish(START + DAY_S)
    assert Status.UNTRUSTED is judge(world, world.prove([reading])).status


def test_step_10_a_checkpoint_that_was_held_back() -> None:
    """A gateway holds its checkpoint back until the board is stolen, and says that it is older:
    not the checkpoint's moment counts but the milestone's.
    """
    world = World()
    world.device.open()
    world.device.readings()
    world.register()
    world.admit()
    note = world.log.checkpoint()
    world.ledger.milestone(START + 100)
    world.state(world.owner, Say.STOLEN)
    world.ledger.milestone(START + 200)
    posted = world.anchor(START + 1, note)
    world.ledger.milestone(START + 300)
    data = proof.build(**world.parts([world.device.records[1]], anchor=posted))
    verdict = judge(world, data)
    assert (Status.UNTRUSTED, START + 300) == (verdict.status, verdict.not_after)


def test_step_10_recovered() -> None:
    """A board that was found again would be lost for good."""
    world, _, _ = barred(Say.STOLEN)
    world.state(world.owner, Say.RECOVERED)
    reading = world.device.readings([4])
    world.publish()
    assert Status.VERIFIED is judge(world, world.prove([reading])).status


def test_step_10_recovered_during_a_suspension() -> None:
    """An owner could end a suspension by a theft that is over at once."""
    world = World()
    world.device.open()
    world.register()
    world.state(world.issuer, Say.SUSPENDED, b"recall")
    world.state(world.owner, Say.STOLEN)
    world.state(world.owner, Say.RECOVERED)
    reading = world.device.readings()
    world.publish()
    verdict = judge(world, world.prove([reading]))
    assert Status.UNTRUSTED is verdict.status
    assert "suspended before the anchor" in str(verdict.check("device.status"))


@pytest.mark.parametrize("who", ["issuer", "owner"])
def test_step_10_an_omitted_statement(who: str) -> None:
    """Whoever hands over the proof could leave out the one statement that matters."""
    world, _, _ = barred(Say.STOLEN)
    world.state(key(who), Say.RECOVERED)
    reading = world.device.readings()
    world.publish()
    registered, _, recovered = (world.ledger.confirmed(one).encode() for one in world.statements)
    data = world.prove([reading], statements=[registered, recovered])
    verdict = judge(world, data)
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == (
        verdict.status,
        outcome(verdict, "device.status"),
    )
    assert Status.VERIFIED is judge(world, world.prove([reading])).status


def test_step_10_strangers_name_what_they_like() -> None:
    """Anyone could make a device undecided by a statement that follows nothing."""
    world, _ = small()
    for who in ("stranger", "device"):
        world.state(key(who), Say.STOLEN, previous=bytes(32), counts=False)
    other = did.did_key(key("other").public)
    world.state(world.issuer, Say.STOLEN, previous=bytes(32), device=other, counts=False)
    reading = world.device.readings()
    world.publish()
    verdict = judge(world, world.prove([reading]))
    assert (Status.VERIFIED, Outcome.OK) == (verdict.status, outcome(verdict, "device.status"))


def test_step_10_pending_after_a_theft() -> None:
    """A thief who never anchors could go on: nothing ties his records to a moment before."""
    world, _, _ = barred(Say.STOLEN)
    statements = [world.ledger.confirmed(one).encode() for one in world.statements]
    parts = {**world.pending([world.device.records[1]]), "statements": statements}
    verdict = judge(world, proof.build(**parts))
    assert (Status.UNTRUSTED, Outcome.UNTRUSTED) == (
        verdict.status,
        outcome(verdict, "device.status"),
    )
    assert Outcome.PENDING is outcome(verdict, "ledger.inclusion")


def test_step_10_a_strangers_word_changes_nothing() -> None:
    """Anyone could have a board barred."""
    world, _ = small()
    world.state(key("stranger"), Say.STOLEN, counts=False)
    reading = world.device.readings()
    world.publish()
    verdict = judge(world, world.prove([reading]))
    assert Status.VERIFIED is verdict.status
    assert any("'stolen' at 4 had no effect" in note for note in verdict.notes)


def test_step_10_a_statement_that_is_not_in_the_ledger() -> None:
    """A statement could be moved to where it suits."""
    world, _, late = barred(Say.STOLEN)
    parsed = proof.parse(late)
    moved = [
        confirmed.replace(position=confirmed.position + 1).encode()
        for confirmed, _ in parsed.statements
    ]
    verdict = judge(world, rebuilt(late, statements=moved))
    assert (Status.TAMPERED, Outcome.FAILED) == (verdict.status, outcome(verdict, "device.status"))


def test_step_10_a_statement_of_another_ledger() -> None:
    """Positions of two ledgers would be compared."""
    world, data = small()
    second = Ledger(key("other ledger"), "another")
    raw = world.ledger.blocks[world.statements[0]].carried
    posted = second.post(BlockKind.STATEMENT, raw, START)
    second.milestone(START + 1)
    changed = rebuilt(data, statements=[second.confirmed(posted).encode()])
    assert Outcome.UNDECIDED is outcome(judge(world, changed), "device.status")


# ---- 11. between which two moments


def windowed(**changes: Any) -> tuple[World, dict[str, Any]]:
    """A proof from a beacon that names a milestone to an anchored reading."""
    world = World()
    world.device.open()
    world.publish(START + 10)
    before = world.ledger.milestones[-1]
    beacon = world.device.beacon(changes.get("names", world.ledger.newest()))
    links = [beacon, world.device.readings([1]), world.device.readings([2])]
    reading = world.device.readings([3])
    world.publish(changes.get("after", START + 1000))
    parts = world.parts([reading])
    parts["links"] = [one.raw for one in links]
    parts["before"] = before.block.raw
    return world, parts


def test_step_11_window() -> None:
    """A reading could not be shown to be younger than a moment."""
    world, parts = windowed()
    verdict = judge(world, proof.build(**parts))
    assert (Status.VERIFIED, START + 10, START + 1000) == (
        verdict.status,
        verdict.not_before,
        verdict.not_after,
    )


def test_step_11_another_milestone() -> None:
    """Any milestone would do as 'not before'."""
    world, parts = windowed(names=MilestoneRef(bytes(8), bytes(32)))
    verdict = judge(world, proof.build(**parts))
    assert (Status.UNDECIDED, None) == (verdict.status, verdict.not_before)


def test_step_11_broken_links() -> None:
    """An old reading could be put behind a young beacon."""
    world, parts = windowed()
    parts["links"] = [parts["links"][0], parts["links"][2]]
    verdict = judge(world, proof.build(**parts))
    assert (Status.UNDECIDED, None) == (verdict.status, verdict.not_before)


def test_step_11_contradiction() -> None:
    """A window that ends before it begins would be printed as proven."""
    world, parts = windowed(after=START + 5)
    verdict = judge(world, proof.build(**parts))
    assert (Status.TAMPERED, Outcome.FAILED) == (verdict.status, outcome(verdict, "time.window"))


def test_step_11_milestone_by_a_stranger() -> None:
    """Anyone could say what time it was before."""
    world, parts = windowed()
    raw = parts["before"]
    parts["before"] = flipped(raw)
    assert Status.UNDECIDED is judge(world, proof.build(**parts)).status  # another id
    other = World()
    other.ledger.milestone(START, signer=key("stranger"))
    forged = other.ledger.milestones[-1]
    world, parts = windowed(names=MilestoneRef(world.ledger.id, forged.id))
    parts["before"] = forged.block.raw
    assert Status.TAMPERED is judge(world, proof.build(**parts)).status


def test_step_11_two_ledgers() -> None:
    """Two clocks would be compared as one."""
    world = World()
    other = Ledger(key("other ledger"), "another")
    before = other.milestone(START)
    world.device.open()
    beacon = world.device.beacon(other.newest())
    world.publish()
    held = world.policy.ledgers[0]
    log = held.replace(vkey=held.vkey.replace(name=other.name, key=other.signer.public))
    both = world.policy.replace(ledgers=(*world.policy.ledgers, log))
    data = world.prove([beacon], before=before.block.raw)
    assert Outcome.UNDECIDED is outcome(judge(world, data, both), "time.window")


def test_step_11_the_boards_clock_is_a_claim() -> None:
    """A clock that is wrong would be passed over in silence, or would spoil a good proof."""
    world = World()
    world.device.open()
    reading = world.device.readings(time=START + 10 * DAY_S)
    world.publish(START + 100)
    verdict = judge(world, world.prove([reading]))
    assert Status.VERIFIED is verdict.status
    assert any("clock at seq 1" in warning for warning in verdict.warnings)


def test_step_11_nothing_at_hand() -> None:
    """A proof without an anchor would claim a time."""
    world, _ = small()
    verdict = judge(world, proof.build(**world.pending([world.device.records[1]])))
    assert Outcome.SKIPPED is outcome(verdict, "time.window")


# ---- what the verdict is


def test_precedence() -> None:
    """The worst finding would be hidden behind a milder one."""
    order = [
        Status.TAMPERED,
        Status.UNDECIDED,
        Status.UNTRUSTED,
        Status.PENDING,
        Status.VERIFIED,
    ]
    for i, status in enumerate(order):
        assert status is worst(order[i:])
        assert status is worst(reversed(order[i:]))
    world, _ = small()
    nobody = Policy()
    good = world.parts([world.device.records[1]])
    pending = {**good, "anchor": None, "checkpoint": world.log.checkpoint(), "statements": []}
    forged = {**pending, "inclusions": [(0, good["inclusions"][0][1])]}
    assert Status.PENDING is judge(world, proof.build(**pending)).status
    assert Status.UNTRUSTED is judge(world, proof.build(**pending), nobody).status
    missing = {**pending, "opens": []}
    assert Status.UNDECIDED is judge(world, proof.build(**missing), nobody).status
    assert Status.TAMPERED is judge(world, proof.build(**{**forged, "opens": []}), nobody).status


def test_a_policy_that_requires_less() -> None:
    """A site without a ledger could verify nothing."""
    world, _ = small()
    data = proof.build(**world.pending([world.device.records[1]]))
    local = tuple(code for code in REQUIRABLE if not code.startswith("ledger."))
    policy = world.policy.replace(required=local)
    verdict = judge(world, data, policy)
    assert Status.VERIFIED is verdict.status
    assert Outcome.SKIPPED is outcome(verdict, "ledger.milestone")


@pytest.mark.parametrize("code", REQUIRABLE)
def test_what_failed_counts_though_it_is_not_required(code: str) -> None:
    """A forged part would pass where nobody asked for it."""
    world, data = small()
    forged: dict[str, dict[str, Any]] = {
        "record.signature": {"opens": [flipped(world.device.records[0].raw)]},
        "device.credential": {"credential": flipped(world.credential())},
        "log.inclusion": {"inclusions": [(0, [])]},
    }
    if code in forged:
        lax = world.policy.replace(required=())
        assert Status.TAMPERED is judge(world, rebuilt(data, **forged[code]), lax).status
    else:
        rest = tuple(one for one in REQUIRABLE if one != code)
        verdict = judge(world, data, world.policy.replace(required=rest))
        assert Outcome.OK is outcome(verdict, code)


# ---- every byte


def rebuilt(data: bytes, **changes: Any) -> bytes:
    """The proof with some parts replaced, the others as they are."""
    parsed = proof.parse(data)
    parts: dict[str, Any] = {
        "records": [one.raw for one in parsed.records],
        "opens": [one.raw for one in parsed.opens],
        "rotations": [one.raw for one in parsed.rotations],
        "inclusions": [(one.index, one.path) for one in parsed.inclusions],
        "anchor": parsed.anchor.encode() if parsed.anchor else None,
        "credential": parsed.credential.signed.raw if parsed.credential else None,
        "statements": [confirmed.encode() for confirmed, _ in parsed.statements],
    }
    return proof.build(**{**parts, **changes})


def test_rebuilt_is_the_same() -> None:
    """The tests above would change more than they say."""
    _, data = small()
    assert data == rebuilt(data)


def test_every_byte_counts() -> None:
    """Somewhere in the file a byte could be changed and nobody would notice."""
    world, data = small()
    chance = random.Random(12)
    policy = world.policy
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << chance.randrange(8)
        assert Status.VERIFIED is not verify.verify(bytes(changed), policy).status, at
        second = independent_verifier.verify(bytes(changed), *trusted(policy))
        assert independent_verifier.verdict(second) in ("TAMPERED", "UNDECIDED", "UNTRUSTED"), at


def test_any_cut_is_undecided() -> None:
    """A download that broke off would be called forged, or verified."""
    world, data = small()
    for end in range(0, len(data), 37):
        assert Status.UNDECIDED is judge(world, data[:end]).status


def shuffled(chance: random.Random, parts: list[list[Any]], others: list[list[Any]]) -> None:
    """One change to the parts of a proof: lose, damage, retype, borrow, swap or repeat one."""
    at, other = chance.randrange(len(parts)), chance.randrange(len(parts))
    match chance.randrange(6):
        case 0 if len(parts) > 1:
            del parts[at]
        case 1:
            raw = parts[at][1]
            parts[at][1] = flipped(raw, chance.randrange(len(raw)))
        case 2:
            parts[at][0] = chance.choice((1, 2, 3, 4, 5, 6, 8, 10, 11, 12))
        case 3:
            parts.append(list(chance.choice(others)))
        case 4:
            parts[at][1], parts[other][1] = parts[other][1], parts[at][1]
        case _:
            parts.append(list(parts[at]))
    parts.sort(key=itemgetter(0))


def test_both_verifiers_agree_on_shuffled_parts() -> None:
    """Two readers of one page would give two verdicts on a proof that somebody has tampered with."""
    chance = random.Random(9)
    turned, reading = rotated()
    world, parts = windowed()
    chain, cloned = line(), line(2)
    clone = cloned.device.clone()
    pair = (cloned.device.readings([7]).raw, clone.readings([8]).raw)
    cloned.publish()
    proofs = [
        small(),
        (turned, turned.prove(turned.device.records)),
        (turned, turned.prove([reading])),
        (world, proof.build(**parts)),
        (chain, chain.prove(chain.device.records)),
        (cloned, cloned.prove([cloned.device.records[-1]], forks=[pair])),
    ]
    seen: set[Status] = set()
    for _ in range(400):
        world, data = chance.choice(proofs)
        magic, version, held = _three(in_scope(data))
        held = [list(part) for part in held]
        others = [list(part) for part in _three(chance.choice(proofs)[1])[2] if part[0] != 9]
        for _ in range(chance.choice((1, 1, 2, 3))):
            shuffled(chance, held, others)
        changed = cbor.encode([magic, version, held])
        first = verify.verify(changed, world.policy)
        second = independent_verifier.verify(changed, *trusted(world.policy))
        said = independent_verifier.verdict(second)
        seen.add(first.status)
        if outcome(first, "proof.format") is Outcome.OK:
            assert first.status.value == said, (first.checks, second)
        else:  # the second one looks at the form of less
            assert "VERIFIED" != said, (first.checks, second)
    assert {Status.VERIFIED, Status.TAMPERED, Status.UNDECIDED, Status.UNTRUSTED} <= seen


# ---- the second verifier


def test_the_second_verifier_is_small_and_on_its_own() -> None:
    """The page would promise that anyone can write a verifier from it, and nobody had tried."""
    text = INDEPENDENT.read_text()
    lines = text.splitlines()
    assert len(lines) < LINES
    assert max(map(len, lines)) <= 100
    imported: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.Import):
            imported.update(alias.name.split(".")[0] for alias in node.names)
    assert imported <= {
        *("__future__", "base64", "hashlib", "itertools", "json", "sys", "typing"),
        *("cbor2", "cryptography"),
    }
    assert not re.search(r"noqa:|fmt: off|type: ignore|mypy:", text)
    ruff = [sys.executable, "-m", "ruff"]
    for check in (["check"], ["format", "--check"]):
        subprocess.run([*ruff, *check, str(INDEPENDENT)], capture_output=True, check=True)


def test_the_second_verifier_follows_the_page() -> None:
    """A reader could not find a step of section 12 in it."""
    page = (ROOT / "docs" / "format.md").read_text().partition("## 12. ")[2].partition("## 13. ")[0]
    steps = [
        f"# {number}. {', '.join(re.findall(r'[a-z]+[.][a-z]+', ' '.join(bold)))}"
        for number, *bold in re.findall(r"^(\d+)\. (\*\*.*?\*\*(?:, \*\*.*?\*\*)*)", page, re.M)
    ]
    said = re.findall(r"^ +(# \d+\. .*)$", INDEPENDENT.read_text(), re.M)
    assert [one.replace(", ledger.milestone", "") for one in said] == steps


def test_the_second_verifier_as_a_command(tmp_path: Path) -> None:
    """It would run inside our tests only."""
    world, data = small()
    file = tmp_path / "reading.tally"
    file.write_bytes(rebuilt(data, statements=[]))
    arguments = [",".join(one) for one in trusted(world.policy)]
    done = subprocess.run(
        [sys.executable, "-I", str(INDEPENDENT), str(file), *arguments],
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    assert "VERIFIED" == json.loads(done.stdout)["verdict"]


def test_a_signed_object_of_another_kind_is_no_record() -> None:
    """A challenge's answer could be replayed as a reading."""
    world, data = small()
    reading = world.device.records[1]
    raw = cose.sign(world.device.signer, Typ.CHALLENGE, reading.signed.payload)
    forged = data.replace(cbor.encode(reading.raw), cbor.encode(raw))
    assert forged != data
    assert Status.UNDECIDED is judge(world, forged).status


def test_checkpoints_inside_records_are_no_evidence() -> None:
    """A board's word about a log would count as the log's."""
    world = World()
    world.device.open()
    beacon = world.device.beacon(None, CheckpointRef(world.log.signer.public.kid, 1, bytes(32)))
    world.publish()
    verdict = judge(world, world.prove([beacon]))
    assert (Status.VERIFIED, None) == (verdict.status, verdict.not_before)
