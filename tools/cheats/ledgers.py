"""The ledger: anchors, milestones, statements, the window of time, witnesses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tallystick import cosignature, merkle, milestone, note, proof
from tallystick.checkpoint import ledger_name
from tallystick.checkpoint import sign as sign_checkpoint
from tallystick.cosignature import WitnessKey
from tallystick.milestone import Confirmed
from tallystick.statement import StatementKind as Say
from tests.world import START, Ledger, World, key
from tools.cheats import Cheat, policy_table, rebuilt


def cheats() -> Iterator[Cheat]:
    """In the order of the steps."""
    yield from _anchors()
    yield from _milestones()
    yield from _statements()
    yield from _windows()
    yield from _witnesses()


def _world() -> World:
    world = World()
    world.device.open()
    world.device.readings()
    world.device.readings()
    world.publish()
    world.register()
    world.ledger.milestone(world.device.time + 100)
    return world


def _anchors() -> Iterator[Cheat]:
    world = _world()
    records = [world.device.records[1]]
    policy, code = policy_table(world), "ledger.inclusion"
    data = world.prove(records, statements=[])
    held = world.ledger.confirmed(world.anchors[0])
    pending = rebuilt(data, anchor=None, checkpoint=world.log.checkpoint())
    yield Cheat("honest", "not anchored yet", pending, policy, "PENDING", code, "pending")

    def moved(name: str, confirmed: Confirmed) -> Cheat:
        changed = rebuilt(data, anchor=confirmed.encode())
        return Cheat("anchor", name, changed, policy, "TAMPERED", code, "failed")

    yield moved("one position later", held.replace(position=held.position + 1))
    yield moved("position 0", held.replace(position=0))
    yield moved("position beyond the ledger", held.replace(position=2**40))
    yield moved("path cut", held.replace(path=held.path[:-1]))
    yield moved("path too long", held.replace(path=(*held.path, bytes(32))))
    yield moved("one bit of the path", held.replace(path=(bytes(32), *held.path[1:])))
    later = world.ledger.milestones[-1]
    leaves = [merkle.leaf_hash(one) for one in world.ledger.order]
    path = tuple(merkle.inclusion_path(leaves, held.position))
    yield moved(
        "a later milestone for the one that confirmed it",
        Confirmed(held.block, held.position, path, later),
    )
    from tallystick import block

    raw = held.block.raw
    changed = block.parse(raw[:-1] + bytes([raw[-1] ^ 1]))
    yield moved("one bit of the anchor's own signature", held.replace(block=changed))
    same = block.parse(
        block.sign(
            key("stranger"),
            held.block.parents,
            held.block.time,
            held.block.kind,
            held.block.carried,
        )
    )
    yield moved("a block that was never posted, with the same checkpoint", held.replace(block=same))


def _milestones() -> Iterator[Cheat]:
    world = _world()
    records = [world.device.records[1]]
    policy, code = policy_table(world), "ledger.milestone"
    data = world.prove(records, statements=[])
    held = world.ledger.confirmed(world.anchors[0])
    stone = held.milestone

    def stoned(name: str, verdict: str, result: str, **changes: Any) -> Cheat:
        said = {
            "ledger": stone.ledger,
            "index": stone.index,
            "time": stone.time,
            "first": stone.first,
            "size": stone.size,
            "root": stone.root,
            **changes,
        }
        signer = said.pop("signer", world.ledger.signer)
        raw = milestone.sign(
            signer,
            said["ledger"],
            said["index"],
            list(stone.block.parents),
            said["time"],
            said["first"],
            said["size"],
            said["root"],
        )
        if changes.get("signer") is None:  # what the ledger signed for something else
            old = stone.block.raw
            raw = raw[:-64] + old[-64:]
        changed = rebuilt(data, anchor=held.replace(milestone=milestone.parse(raw)).encode())
        return Cheat("milestone", name, changed, policy, verdict, code, result)

    yield stoned("signed by a stranger", "TAMPERED", "failed", signer=key("stranger"))
    yield stoned("an earlier time under the old signature", "TAMPERED", "failed", time=START)
    yield stoned("another index under the old signature", "TAMPERED", "failed", index=9)
    yield stoned("another first position under the old signature", "TAMPERED", "failed", first=1)
    yield stoned("another size under the old signature", "TAMPERED", "failed", size=stone.size + 1)
    yield stoned("another root under the old signature", "TAMPERED", "failed", root=bytes(32))
    other = Ledger(key("stranger"), "elsewhere")
    yield stoned(
        "of a ledger whom nobody trusts",
        "UNTRUSTED",
        "untrusted",
        ledger=other.id,
        signer=key("stranger"),
    )
    yield stoned(
        "the ledger's key for another ledger",
        "UNTRUSTED",
        "untrusted",
        ledger=bytes(8),
        signer=world.ledger.signer,
    )
    yield Cheat(
        *("policy", "a ledger whom nobody trusts", data, {**policy, "ledgers": []}),
        *("UNTRUSTED", code, "untrusted"),
    )
    twin = {**policy["ledgers"][0], "vkey": str(world.ledger.vkey.replace(key=key("other").public))}
    yield Cheat(
        *("policy", "another key under the ledger's name", data, {**policy, "ledgers": [twin]}),
        *("TAMPERED", code, "failed"),
    )


def _statements() -> Iterator[Cheat]:
    code = "device.status"

    def life(
        name: str,
        *said: tuple[str, Say, tuple[bytes, ...]],
        verdict: str,
        result: str,
        after: bool = False,
        drop: int | None = None,
        cheat: str = "statement",
    ) -> Cheat:
        """A device about which `said`, before its anchor or `after` it; one left out of the file."""
        world = World()
        world.device.open()
        reading = world.device.readings()
        world.register()
        if after:
            world.publish()
        for signer, kind, args in said:
            world.state(key(signer), kind, *args)
        if after:
            world.ledger.milestone(world.device.time + 500)
        else:
            world.ledger.milestone(world.device.time)
            world.publish(world.device.time + 500)
        parts = world.parts([reading])
        if drop is not None:
            del parts["statements"][drop]
        data = proof.build(**parts)
        return Cheat(cheat, name, data, policy_table(world), verdict, code, result)

    yield life("registered", verdict="VERIFIED", result="ok", cheat="honest")
    suspended = ("issuer", Say.SUSPENDED, (b"recall",))
    stolen = ("owner", Say.STOLEN, ())
    yield life("suspended before the anchor", suspended, verdict="UNTRUSTED", result="untrusted")
    yield life("stolen before the anchor", stolen, verdict="UNTRUSTED", result="untrusted")
    yield life(
        "stolen after the anchor",
        stolen,
        verdict="VERIFIED",
        result="ok",
        after=True,
        cheat="honest",
    )
    retired = ("issuer", Say.RETIRED, ())
    yield life("retired before the anchor", retired, verdict="UNTRUSTED", result="untrusted")
    stranger = ("stranger", Say.STOLEN, ())
    yield life("a stranger says stolen", stranger, verdict="VERIFIED", result="ok", cheat="honest")
    resumed = ("issuer", Say.RESUMED, ())
    yield life(
        "suspended and resumed", suspended, resumed, verdict="VERIFIED", result="ok", cheat="honest"
    )
    yield life(
        "the suspension left out",
        suspended,
        resumed,
        verdict="UNDECIDED",
        result="undecided",
        drop=1,
    )
    world = _world()
    data = world.prove([world.device.records[1]])
    policy = policy_table(world)
    held = world.ledger.confirmed(world.statements[0])
    forged = rebuilt(data, statements=[held.replace(position=held.position + 1).encode()])
    yield Cheat("statement", "at another position", forged, policy, "TAMPERED", code, "failed")
    own = milestone.sign(
        key("stranger"),
        held.milestone.ledger,
        held.milestone.index,
        list(held.milestone.block.parents),
        held.milestone.time,
        held.milestone.first,
        held.milestone.size,
        held.milestone.root,
    )
    forged = rebuilt(data, statements=[held.replace(milestone=milestone.parse(own)).encode()])
    yield Cheat(
        "statement",
        "confirmed by a stranger's milestone",
        forged,
        policy,
        "TAMPERED",
        code,
        "failed",
    )
    required = policy_table(world, checks=["device.status"])
    without = rebuilt(data, statements=[])
    yield Cheat(
        "statement",
        "none, where they are required",
        without,
        required,
        "UNDECIDED",
        code,
        "undecided",
    )


def _windows() -> Iterator[Cheat]:
    code = "time.window"
    world = World()
    before = world.ledger.milestone(START - 900)
    world.device.open()
    beacon = world.device.beacon(world.ledger.newest())
    reading = world.device.readings()
    last = world.device.readings()
    world.publish()
    policy = policy_table(world)
    links = [beacon.raw]
    good: dict[str, Any] = {"links": links, "before": before.block.raw}
    data = world.prove([reading], **good)
    yield Cheat("honest", "both bounds", data, policy, "VERIFIED", code, "ok")
    both = policy_table(world, checks=["time.window"])
    yield Cheat("honest", "both bounds, both required", data, both, "VERIFIED", code, "ok")
    one = world.prove([reading])
    yield Cheat("time", "one bound, both required", one, both, "UNDECIDED", code, "undecided")
    other = world.ledger.milestones[-1].block.raw
    wrong = world.prove([reading], links=links, before=other)
    yield Cheat(
        "time",
        "a milestone that the chain does not name",
        wrong,
        policy,
        "UNDECIDED",
        code,
        "undecided",
    )
    unlinked = world.prove([reading], before=before.block.raw)
    yield Cheat(
        "time",
        "the chain back to the milestone left out",
        unlinked,
        policy,
        "UNDECIDED",
        code,
        "undecided",
    )
    broken = world.prove([last], **good)
    yield Cheat(
        "time",
        "a hole in the chain back to the milestone",
        broken,
        policy,
        "UNDECIDED",
        code,
        "undecided",
    )
    stranger = milestone.sign(
        key("stranger"),
        before.ledger,
        before.index,
        list(before.block.parents),
        before.time,
        before.first,
        before.size,
        before.root,
    )
    named = World()
    named.ledger.milestone(START - 900)
    named.device.open()
    from tallystick import block
    from tallystick.body import MilestoneRef

    own = named.device.beacon(MilestoneRef(named.ledger.id, block.block_id(stranger)))
    told = named.device.readings()
    named.publish()
    forged = named.prove([told], links=[own.raw], before=stranger)
    yield Cheat(
        "time",
        "a milestone before that a stranger signed",
        forged,
        policy_table(named),
        "TAMPERED",
        code,
        "failed",
    )
    late = World()
    late.device.open()
    future = late.ledger.milestone(START + 90_000)
    late_beacon = late.device.beacon(late.ledger.newest())
    late_reading = late.device.readings()
    late.publish(START + 100)
    turned = late.prove([late_reading], links=[late_beacon.raw], before=future.block.raw)
    yield Cheat(
        "time", "before is later than after", turned, policy_table(late), "TAMPERED", code, "failed"
    )
    wild = World()
    wild.device.open()
    reading = wild.device.readings(time=START + 10**7)
    wild.publish(START + 100)
    shown = wild.prove([reading])
    yield Cheat(
        "honest",
        "the board's clock runs ahead: a warning",
        shown,
        policy_table(wild),
        "VERIFIED",
        code,
        "ok",
    )


def _witnesses() -> Iterator[Cheat]:
    code = "ledger.witness"
    world = _world()
    ledger = world.ledger
    names = ("witness.example/w1", "witness.example/w2", "witness.example/w3")
    lines = [{"vkey": str(WitnessKey(name, key(name).public))} for name in names]
    policy = {**policy_table(world, witnesses=2), "witnesses": lines}
    records = [world.device.records[1]]
    stone, newest = world.ledger.confirmed(world.anchors[0]).milestone, ledger.milestones[-1]
    origin = ledger_name(ledger.id)

    def cosigned(
        size: int, root: bytes, by: list[str], signer: str = "ledger", name: str = origin
    ) -> bytes:
        raw = sign_checkpoint(key(signer), name, size, root)
        for one in by:
            raw = cosignature.sign(key(one), one, note.parse(raw), START + 1000)
        return raw

    def shown(
        name: str,
        given: tuple[bytes, list[bytes]] | None,
        verdict: str,
        result: str,
        cheat: str = "witness",
    ) -> Cheat:
        data = world.prove(records, statements=[], cosigned=given)
        return Cheat(cheat, name, data, policy, verdict, code, result)

    own = cosigned(stone.size, stone.root, list(names[:2]))
    yield shown("two of three at the anchor's milestone", (own, []), "VERIFIED", "ok", "honest")
    leaves = [merkle.leaf_hash(one) for one in ledger.order]
    path = merkle.consistency_path(leaves, stone.size)
    later = cosigned(newest.size, newest.root, list(names[1:]))
    yield shown("two of three at a later milestone", (later, path), "VERIFIED", "ok", "honest")
    yield shown("no cosigned checkpoint", None, "UNDECIDED", "undecided")
    one = cosigned(stone.size, stone.root, list(names[:1]))
    yield shown("one witness of two", (one, []), "UNDECIDED", "undecided")
    strangers = cosigned(stone.size, stone.root, ["stranger.example/a", "stranger.example/b"])
    yield shown("strangers only", (strangers, []), "UNDECIDED", "undecided")
    twice = cosigned(stone.size, stone.root, [names[0], names[0]])
    yield shown("one witness twice", (twice, []), "UNDECIDED", "undecided")
    yield shown("a later checkpoint without the path to it", (later, []), "TAMPERED", "failed")
    yield shown(
        "a path that leads elsewhere", (later, [bytes(32)] * len(path)), "TAMPERED", "failed"
    )
    fork = cosigned(newest.size, bytes(32), list(names[:2]))
    yield shown("another tree of the ledger", (fork, path), "TAMPERED", "failed")
    foreign = cosigned(stone.size, stone.root, list(names[:2]), "stranger")
    yield shown("not signed by the ledger", (foreign, []), "TAMPERED", "failed")
    other = cosigned(stone.size, stone.root, list(names[:2]), name="other.example")
    yield shown("the checkpoint of another log", (other, []), "TAMPERED", "failed")
    flipped = cosignature.sign(key("stranger"), names[2], note.parse(own), START + 1000)
    yield shown(
        "a line of a witness that does not verify",
        (_renamed(flipped, names[2]), []),
        "TAMPERED",
        "failed",
    )
    unanchored = rebuilt(
        world.prove(records, statements=[]), anchor=None, checkpoint=world.log.checkpoint()
    )
    yield Cheat(
        "honest",
        "witnesses required, not anchored yet",
        unanchored,
        policy,
        "PENDING",
        code,
        "pending",
    )


def _renamed(raw: bytes, name: str) -> bytes:
    """The note whose last line carries the key id of the true witness called `name`."""
    import base64

    text, _, last = raw.decode().rstrip("\n").rpartition("\n")
    body = base64.b64decode(last.split()[-1])
    right = WitnessKey(name, key(name).public).id + body[4:]
    return f"{text}\n\N{EM DASH} {name} {base64.b64encode(right).decode()}\n".encode()
