"""Any honest chain verifies; whoever edits, removes, reorders, splices or cuts gets the right verdict."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import cbor, merkle, proof, shared_inclusion, verify
from tallystick.body import EventCode, Kind, Readings
from tallystick.record import Record
from tallystick.verdict import Outcome, Status, Verdict
from tallystick.verification.tail import Head
from tests.world import Device, World, key

STEPS = st.lists(
    st.sampled_from(["readings", "many", "reboot", "beacon", "gap", "event", "rotate"]),
    min_size=3,
    max_size=14,
)
CHANCE = settings(max_examples=40, deadline=None, derandomize=True)


def lived(steps: list[str]) -> World:
    """A board that did `steps`, all of it logged and anchored."""
    world = World()
    device, keys = world.device, 0
    device.open()
    for step in steps:
        match step:
            case "readings":
                device.readings()
            case "many":
                device.readings([210, None, 220, 215])
            case "reboot":
                device.open()
            case "beacon":
                device.beacon()
            case "gap":
                first = device.seq
                device.seq += 2
                device.event(EventCode.DROPPED, first, first + 1)
            case "event":
                device.event(EventCode.TAMPER, 0, 1)
            case "rotate":
                keys += 1
                device.rotate(key(f"key {keys}"))
                device.open()
    world.publish()
    return world


def shown(world: World, records: list[Record], *, shared: bool = False, **changes: Any) -> bytes:
    """The proof of `records`, each with a path of its own or all with one."""
    if shared:
        leaves = world.log.leaves()
        at = [world.log.inclusion(one.raw)[0] for one in records]
        up = shared_inclusion.prove(at, len(leaves), lambda a, b: merkle.root(leaves[a:b]))
        changes |= {"inclusions": [], "shared": (at, up)}
    return world.prove(records, **changes)


def judged(world: World, data: bytes, **more: Any) -> Verdict:
    return verify.verify(data, world.policy, **more)


def result(verdict: Verdict, code: str) -> Outcome | None:
    check = verdict.check(code)
    return check.result if check else None


def span(data: st.DataObject, world: World, at_least: int = 1) -> list[Record]:
    """Some records in a row."""
    records = world.device.records
    first = data.draw(st.integers(0, len(records) - at_least), "first")
    last = data.draw(st.integers(first + at_least - 1, len(records) - 1), "last")
    return records[first : last + 1]


@CHANCE
@given(STEPS, st.booleans(), st.data())
def test_honest(steps: list[str], shared: bool, data: st.DataObject) -> None:
    """An honest board's records would not be believed."""
    world = lived(steps)
    records = span(data, world)
    # an event explains the gap before it only where something before the gap is in the file
    verdict = judged(world, shown(world, records, shared=shared))
    assert Status.VERIFIED is verdict.status, verdict.checks
    declared = sum(gap.records for gap in verdict.gaps)
    assert records[-1].seq - records[0].seq + 1 == len(records) + declared
    assert sum(r.body.count for r in records if isinstance(r.body, Readings)) == verdict.readings


@CHANCE
@given(STEPS, st.booleans(), st.data())
def test_edited(steps: list[str], shared: bool, data: st.DataObject) -> None:
    """A changed byte of a record would pass."""
    world = lived(steps)
    records = span(data, world)
    good = shown(world, records, shared=shared)
    one = data.draw(st.sampled_from(records), "record")
    at = data.draw(st.integers(0, len(one.raw) - 1), "byte")
    changed = bytearray(one.raw)
    changed[at] ^= data.draw(st.integers(1, 255), "mask")
    verdict = judged(world, good.replace(one.raw, bytes(changed)))
    assert verdict.status in (Status.TAMPERED, Status.UNDECIDED)


@CHANCE
@given(STEPS, st.booleans(), st.data())
def test_removed(steps: list[str], shared: bool, data: st.DataObject) -> None:
    """A record that somebody left out of the middle would not be missed."""
    world = lived(steps)
    records = span(data, world, 3)
    gone = data.draw(st.integers(1, len(records) - 2), "removed")
    kept = records[:gone] + records[gone + 1 :]
    verdict = judged(world, shown(world, kept, shared=shared))
    assert Status.UNDECIDED is verdict.status
    assert Outcome.UNDECIDED is result(verdict, "chain.gap")
    assert any(
        gap.reason is None and gap.first <= records[gone].seq <= gap.last for gap in verdict.gaps
    )


@CHANCE
@given(STEPS, st.data())
def test_reordered(steps: list[str], data: st.DataObject) -> None:
    """Two records could change places."""
    world = lived(steps)
    records = span(data, world, 2)
    first = data.draw(st.integers(0, len(records) - 2), "first")
    second = data.draw(st.integers(first + 1, len(records) - 1), "second")
    value: Any = cbor.decode(shown(world, records))
    parts = value[2]
    parts[first], parts[second] = parts[second], parts[first]
    verdict = judged(world, cbor.encode(value))
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == (
        verdict.status,
        result(verdict, "proof.format"),
    )


@CHANCE
@given(STEPS, st.sampled_from(["clone", "stranger"]), st.data())
def test_spliced(steps: list[str], whose: str, data: st.DataObject) -> None:
    """A record of another board, or of a clone, could stand in for one."""
    world = lived(steps)
    records = span(data, world, 2)
    at = data.draw(st.integers(0, len(records) - 1), "spliced")
    old = records[at]
    signer = key("stranger") if whose == "stranger" else world.device.signer
    forger = Device(signer)
    forger.seq, forger.prev, forger.time = old.seq, old.prev, old.time
    put = forger.event(999, 1)
    world.log.add(put.raw)
    world.publish()
    mixed = [*records[:at], put, *records[at + 1 :]]
    parts = {**world.parts(records), "records": [one.raw for one in mixed]}
    parts["inclusions"] = [world.log.inclusion(one.raw) for one in mixed]
    verdict = judged(world, proof.build(**parts))
    last = at == len(mixed) - 1
    if whose == "clone" and last and old.signed.kid == put.signed.kid:
        # nothing in this file contradicts the clone; whoever knows the true record sees the fork
        assert verdict.status in (Status.VERIFIED, Status.UNDECIDED)
        head = Head(old.seq, old.id, "the true chain")
        assert Outcome.UNTRUSTED is result(
            judged(world, proof.build(**parts), heads=[head]), "chain.tail"
        )
    else:
        assert Status.VERIFIED is not verdict.status


@CHANCE
@given(STEPS, st.booleans(), st.data())
def test_cut_off(steps: list[str], shared: bool, data: st.DataObject) -> None:
    """The end of a chain could be left out although somebody knows that it goes on."""
    world = lived(steps)
    records = world.device.records
    kept = data.draw(st.integers(1, len(records) - 1), "kept")
    last = records[-1]
    head = Head(last.seq, last.id, "an acknowledgement")
    cut = judged(world, shown(world, records[:kept], shared=shared), heads=[head])
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == (cut.status, result(cut, "chain.tail"))
    whole = judged(world, shown(world, records, shared=shared), heads=[head])
    assert (Status.VERIFIED, Outcome.OK) == (whole.status, result(whole, "chain.tail"))
    assert Kind.OPEN is records[0].kind
