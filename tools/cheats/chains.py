"""The chain: what was left out, moved, spliced in, cut off; and opens that give readings another meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tallystick.body import Channel, EventCode
from tallystick.record import Record
from tests.world import Device, World, key
from tools.cheats import Cheat, policy_table, rebuilt

_CODE = "chain.link"


def cheats() -> Iterator[Cheat]:
    """Links, gaps, forks, tails, opens."""
    yield from _links()
    yield from _gaps()
    yield from _forks()
    yield from _tails()
    yield from _opens()


def _chain(count: int = 6) -> World:
    world = World()
    world.device.open()
    for n in range(count):
        world.device.readings([200 + n])
    world.publish()
    return world


def _links() -> Iterator[Cheat]:
    world = _chain()
    records = world.device.records
    policy = policy_table(world)
    whole = world.prove(records)
    yield Cheat("honest", "a whole chain", whole, policy, "VERIFIED", _CODE, "ok")
    yield Cheat(
        "honest", "records 2..4", world.prove(records[2:5]), policy, "VERIFIED", _CODE, "ok"
    )

    def relinked(name: str, made: Record, verdict: str, code: str, result: str) -> Cheat:
        """`made` in the place of record 3; it is logged, so that only the chain can tell."""
        own = _chain()
        own.log.add(made.raw)
        own.publish()
        chain = [*own.device.records[1:3], made, own.device.records[4]]
        data = own.prove(chain, inclusions=[own.log.inclusion(one.raw) for one in chain])
        return Cheat("splice", name, data, policy, verdict, code, result)

    def forger(signer: str) -> Device:
        device = Device(key(signer))
        device.seq, device.prev, device.time, device.boot = 3, records[2].id, records[3].time, 0
        return device

    yield relinked(
        "another record by a cloned key",
        forger("device").readings([999]),
        "UNTRUSTED",
        _CODE,
        "untrusted",
    )
    yield relinked(
        "the same, with a prev of its own",
        forger("device").readings([999], prev=bytes(32)),
        "UNDECIDED",
        _CODE,
        "untrusted",
    )
    yield relinked(
        "a record of another device",
        forger("other").readings([999]),
        "TAMPERED",
        _CODE,
        "failed",
    )
    start = Device()
    foreign = start.open(prev=bytes(32))
    world2 = World()
    world2.device.records.append(foreign)
    world2.publish()
    data = world2.prove([foreign])
    yield Cheat(
        "splice",
        "seq 0 without the genesis",
        data,
        policy_table(world2),
        "TAMPERED",
        _CODE,
        "failed",
    )
    world3 = World()
    world3.device.readings(boot=0)
    world3.publish()
    data = world3.prove(world3.device.records, opens=[])
    yield Cheat(
        "splice",
        "a chain that starts with readings",
        data,
        policy_table(world3),
        "TAMPERED",
        _CODE,
        "failed",
    )
    reordered = whole.replace(records[2].raw, b"\0" * len(records[2].raw))
    swapped = reordered.replace(records[3].raw, records[2].raw)
    swapped = swapped.replace(b"\0" * len(records[2].raw), records[3].raw)
    yield Cheat(
        *("reorder", "two records exchanged", swapped, policy),
        *("UNDECIDED", "proof.format", "undecided", "proof.order"),
    )


def _gaps() -> Iterator[Cheat]:
    world = _chain()
    records = world.device.records
    policy, code = policy_table(world), "chain.gap"
    less = [*records[1:3], *records[5:]]
    yield Cheat(
        "gap", "two records left out", world.prove(less), policy, "UNDECIDED", code, "undecided"
    )
    device = Device()
    told = World()
    told.device = device
    device.open()
    device.readings()
    device.seq += 2
    device.event(EventCode.DROPPED, 2, 3)
    device.readings()
    told.publish()
    data = told.prove(device.records[1:])
    yield Cheat(
        "honest", "a gap that the board explains", data, policy_table(told), "VERIFIED", code, "ok"
    )
    data = told.prove([device.records[1], device.records[3]])
    yield Cheat(
        "gap",
        "the event that explains it left out",
        data,
        policy_table(told),
        "UNDECIDED",
        code,
        "undecided",
    )
    partly = World()
    partly.device.open()
    partly.device.readings()
    partly.device.seq += 3
    partly.device.event(EventCode.PRUNED, 2, 3)
    partly.publish()
    data = partly.prove(partly.device.records)
    yield Cheat(
        "gap",
        "an event that explains a part of it",
        data,
        policy_table(partly),
        "UNDECIDED",
        code,
        "undecided",
    )


def _forks() -> Iterator[Cheat]:
    world = _chain()
    records = world.device.records
    policy, code = policy_table(world), "chain.fork"
    clone = Device()
    clone.seq, clone.prev, clone.time, clone.boot = 3, records[2].id, records[3].time, 0
    other = clone.readings([999])
    pair = [(records[3].raw, other.raw)]
    for name, proven, verdict, result in (
        ("a proven fork before the record", records[4], "UNTRUSTED", "untrusted"),
        ("a proven fork at the record", records[3], "UNTRUSTED", "untrusted"),
        ("a fork after the record", records[2], "VERIFIED", "ok"),
    ):
        data = world.prove([proven], forks=pair)
        yield Cheat("fork", name, data, policy, verdict, code, result)
    useless = world.prove([records[4]], forks=[(records[2].raw, records[3].raw)])
    yield Cheat(
        "fork", "a pair that proves nothing", useless, policy, "UNDECIDED", code, "undecided"
    )
    forged = other.raw[:-1] + bytes([other.raw[-1] ^ 1])
    slander = world.prove([records[4]], forks=[(records[3].raw, forged)])
    yield Cheat(
        "fork",
        "a pair with a forged record",
        slander,
        policy,
        "TAMPERED",
        "record.signature",
        "failed",
    )
    reset = Device()
    reset.open(time=records[0].time + 1)
    again = world.prove([records[4]], forks=[(records[0].raw, reset.records[0].raw)])
    yield Cheat(
        "fork", "a chain that began a second time", again, policy, "UNTRUSTED", code, "untrusted"
    )


def _tails() -> Iterator[Cheat]:
    world = _chain()
    records = world.device.records
    policy, code = policy_table(world), "chain.tail"
    data = world.prove(records[1:4])

    def known(
        name: str, heads: list[Record], verdict: str, result: str, cheat: str = "truncation"
    ) -> Cheat:
        given = tuple((one.seq, one.id) for one in heads)
        return Cheat(cheat, name, data, policy, verdict, code, result, heads=given)

    yield known("the end cut off", [records[6]], "UNDECIDED", "undecided")
    yield known("cut by one", [records[4]], "UNDECIDED", "undecided")
    yield known("up to the head", [records[3]], "VERIFIED", "ok", "honest")
    yield known("beyond the head that is known", [records[2]], "VERIFIED", "ok", "honest")
    clone = Device()
    clone.seq, clone.prev, clone.time, clone.boot = 3, records[2].id, records[3].time, 0
    other = clone.readings([999])
    yield known("another head than the one that is known", [other], "UNTRUSTED", "untrusted")


def _opens() -> Iterator[Cheat]:
    world = _chain()
    records = world.device.records
    policy, code = policy_table(world), "record.open"
    data = world.prove([records[2]])
    yield Cheat("open", "left out", rebuilt(data, opens=[]), policy, "UNDECIDED", code, "undecided")
    other = Device(key("device")).open(channels=[Channel("pressure", "Pa", 2)])
    yield Cheat(
        "open",
        "with fewer channels",
        rebuilt(data, opens=[other.raw]),
        policy,
        "TAMPERED",
        code,
        "failed",
    )
    foreign = Device(key("stranger")).open()
    yield Cheat(
        *("open", "of another device", rebuilt(data, opens=[foreign.raw]), policy),
        *("UNDECIDED", "record.signature", "undecided"),
    )
    changed = Device().open(
        channels=[Channel("temperature", "Cel", 0), Channel("humidity", "%RH", 0)]
    )
    twice = world.prove([records[0], records[2]], opens=[])
    parts: dict[str, Any] = {"forks": [(records[0].raw, changed.raw)]}
    yield Cheat(
        *("open", "a second one with other exponents", rebuilt(twice, **parts), policy),
        *("UNDECIDED", "chain.gap", "undecided"),
    )
