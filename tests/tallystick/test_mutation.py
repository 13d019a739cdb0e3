"""Every byte of a proof, changed: never VERIFIED, never a crash, never a foreign exception.

The one exception is a signature line by a key that the verifier does not know, of which the verdict says that it was
ignored: in a cosigned checkpoint, which nothing else commits to.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tallystick import cosignature, merkle, note, proof, shared_inclusion, verify
from tallystick.body import EventCode
from tallystick.checkpoint import sign as sign_checkpoint
from tallystick.cosignature import WitnessKey
from tallystick.policy import Policy, Witness
from tallystick.verdict import Status
from tests.world import START, World, key

STRANGER = "stranger.example"
SEED = 7
WHOLE = bool(os.environ.get("TALLY_EVERY_BYTE"))  # `make mutate`
STEP = 5  # of the large proof, every fifth byte otherwise


def everything() -> tuple[bytes, Policy]:
    """A proof with every part that a good proof can have, and the policy under which it is VERIFIED."""
    world = World()
    before = world.ledger.milestone(START - 900)
    world.device.open()
    world.device.rotate(key("second"))
    world.device.open()
    beacon = world.device.beacon(world.ledger.newest())
    world.device.readings([215, None, 216])
    world.device.event(EventCode.TAMPER, 0, 1)
    world.register()
    world.publish()
    records = world.device.records[4:]
    stone = world.ledger.milestones[-1]
    raw = sign_checkpoint(world.ledger.signer, world.ledger.name, stone.size, stone.root)
    for name in ("w.example", STRANGER):
        raw = cosignature.sign(key(name), name, note.parse(raw), START)
    leaves = world.log.leaves()
    at = [world.log.inclusion(one.raw)[0] for one in records]
    up = shared_inclusion.prove(at, len(leaves), lambda a, b: merkle.root(leaves[a:b]))
    clone = world.device.clone()
    pair = (clone.readings([1]).raw, world.device.readings([2]).raw)
    parts = {**world.parts(records), "inclusions": [], "shared": (at, up)}
    parts |= {"links": [beacon.raw], "before": before.block.raw, "cosigned": (raw, [])}
    parts |= {"forks": [pair]}  # later than the records, so that they keep their verdict
    witness = Witness(WitnessKey("w.example", key("w.example").public))
    policy = world.policy.replace(witnesses=(witness,), quorum=1, boards=(), agents=())
    return proof.build(**parts), policy


def simple() -> tuple[bytes, Policy]:
    """A proof of one record."""
    world = World()
    world.device.open()
    reading = world.device.readings()
    world.device.readings()
    world.publish()
    return world.prove([reading]), world.policy


def mutants(data: bytes, step: int) -> Iterator[tuple[int, bytes]]:
    """(place, the file with that byte changed)."""
    for at in range(0, len(data), step):
        for mask in (0x01, 0x80) if WHOLE else (0x01,):
            changed = bytearray(data)
            changed[at] ^= mask
            yield at, bytes(changed)


@pytest.mark.parametrize("make", [simple, everything])
def test_every_byte(make: object) -> None:
    """Somewhere in the file a byte could be changed and nobody would notice."""
    assert callable(make)
    data, policy = make()
    good = verify.verify(data, policy)
    assert Status.VERIFIED is good.status, good.checks
    line = _stranger_line(data)
    escaped = []
    for at, changed in mutants(data, STEP if make is everything and not WHOLE else 1):
        verdict = verify.verify(changed, policy)
        if verdict.status is Status.VERIFIED and at not in line:
            escaped.append(at)
    assert [] == escaped


def _stranger_line(data: bytes) -> range:
    start = data.find(f"\N{EM DASH} {STRANGER} ".encode())
    return range(0) if start < 0 else range(start, data.index(b"\n", start))


def test_bytes_put_in_and_taken_out() -> None:
    """A file that grew or shrank on its way could end the program."""
    data, policy = everything()
    chance = random.Random(SEED)
    for _ in range(300):
        at, length = chance.randrange(len(data)), chance.randrange(1, 40)
        put = data[:at] + chance.randbytes(length) + data[at:]
        cut = data[:at] + data[at + length :]
        moved = data[:at] + data[at + length :] + data[at : at + length]
        for changed in (put, cut, moved):
            verdict = verify.verify(changed, policy)
            assert Status.VERIFIED is not verdict.status or changed == data
