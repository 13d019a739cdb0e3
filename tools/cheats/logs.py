"""The gateway's log: paths that lead elsewhere, notes that are not its own."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from tallystick import checkpoint, merkle, proof, shared_inclusion
from tallystick.block import BlockKind
from tests.world import World, key
from tools.cheats import Cheat, policy_table, rebuilt

_RECORDS = 11


def _world() -> World:
    world = World()
    world.device.open()
    for n in range(_RECORDS - 1):
        world.device.readings([200 + n])
    world.publish()
    return world


def cheats() -> Iterator[Cheat]:
    """Single inclusions, shared inclusions, checkpoints."""
    yield from _single()
    yield from _shared()
    yield from _notes()


def _single() -> Iterator[Cheat]:
    world = _world()
    record = world.device.records[5]
    policy, code = policy_table(world), "log.inclusion"
    data = world.prove([record])
    index, path = world.log.inclusion(record.raw)
    leaves = world.log.leaves()
    extra = merkle.inclusion_path(leaves, 6)
    node = merkle.node_hash(leaves[4], leaves[5])
    wrong: list[tuple[str, int, list[bytes]]] = [
        ("path: the last hash cut off", index, path[:-1]),
        ("path: one hash too many", index, [*path, bytes(32)]),
        ("path: empty", index, []),
        ("path: two hashes exchanged", index, [path[1], path[0], *path[2:]]),
        ("path: one bit", index, [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]]),
        ("path of the next record", index, extra),
        ("index of the next record", index + 1, path),
        ("index 0", 0, path),
        ("index beyond the tree", _RECORDS, path),
        ("index far beyond the tree", 2**62, path),
        ("a leaf as a node of the level above", index // 2, [node, *path[1:]]),
        ("the last leaf doubled (CVE-2012-2459)", _RECORDS, merkle.inclusion_path(leaves, 10)),
    ]
    for name, at, way in wrong:
        changed = rebuilt(data, inclusions=[(at, way)])
        yield Cheat("inclusion", name, changed, policy, "TAMPERED", code, "failed")
    yield Cheat(
        *("signature stripping", "no inclusion", rebuilt(data, inclusions=[]), policy),
        *("UNDECIDED", code, "undecided"),
    )
    other = world.device.records[6].raw
    yield Cheat(
        "inclusion",
        "the path of this record, another record",
        rebuilt(data, records=[other]),
        policy,
        "TAMPERED",
        code,
        "failed",
    )


def _shared() -> Iterator[Cheat]:
    world = _world()
    records = world.device.records[3:7]
    policy, code = policy_table(world), "log.inclusion"
    leaves = world.log.leaves()
    indices = [3, 4, 5, 6]

    def subtree(start: int, end: int) -> bytes:
        return merkle.root(leaves[start:end])

    hashes = shared_inclusion.prove(indices, len(leaves), subtree)
    data = world.prove(records)

    def shared(name: str, at: list[int], up: list[bytes], result: str = "failed") -> Cheat:
        changed = rebuilt(data, inclusions=[], shared=(at, up))
        verdict = "VERIFIED" if result == "ok" else "TAMPERED"
        cheat = "honest" if result == "ok" else "shared inclusion"
        return Cheat(cheat, name, changed, policy, verdict, code, result)

    yield shared("four records together", indices, hashes, "ok")
    yield shared("the last hash missing", indices, hashes[:-1])
    yield shared("no hash at all", indices, [])
    yield shared("one hash left over", indices, [*hashes, bytes(32)])
    yield shared("two hashes exchanged", indices, [hashes[1], hashes[0], *hashes[2:]])
    yield shared(
        "one bit of a hash", indices, [bytes([hashes[0][0] ^ 1]) + hashes[0][1:], *hashes[1:]]
    )
    yield shared("two indices exchanged", [4, 3, 5, 6], hashes)
    yield shared("all indices moved by one", [4, 5, 6, 7], hashes)
    yield shared("an index beyond the tree", [3, 4, 5, _RECORDS], hashes)
    parts: dict[str, Any] = {**world.parts(records), "inclusions": []}
    one = world.parts([records[0]])
    single = shared_inclusion.prove([3], len(leaves), subtree)
    alone = proof.build(**{**one, "inclusions": [], "shared": ([3], single)})
    yield Cheat("honest", "one record, shared with nobody", alone, policy, "VERIFIED", code, "ok")
    yield Cheat(
        "shared inclusion",
        "two records at one place",
        _doubled(proof.build(**parts)),
        policy,
        "UNDECIDED",
        "proof.format",
        "undecided",
        "proof.shared",
    )


def _doubled(data: bytes) -> bytes:
    from tallystick import cbor
    from tools.cheats import packed, parts_of

    return packed([*parts_of(data), (14, cbor.encode([[3, 3, 5, 6], []]))])


def _notes() -> Iterator[Cheat]:
    world = _world()
    records = [world.device.records[5]]
    policy, code = policy_table(world), "checkpoint.signature"
    data = world.prove(records)
    note = world.log.checkpoint().decode()
    text, _, line = note.partition("\n\n")
    origin = world.log.origin

    def with_note(
        name: str, changed: str | bytes, verdict: str, result: str, cheat: str = "checkpoint"
    ) -> Cheat:
        """The note anchored as it is: the ledger orders, it does not judge."""
        own = _world()
        raw = changed if isinstance(changed, bytes) else changed.encode()
        posted = own.ledger.post(BlockKind.ANCHOR, raw, own.device.time)
        own.ledger.milestone(own.device.time)
        anchored = rebuilt(data, anchor=own.ledger.confirmed(posted).encode())
        return Cheat(cheat, name, anchored, policy, verdict, code, result)

    stranger = checkpoint.sign(key("stranger"), "witness.example", 1, bytes(32)).decode()
    strange = stranger.partition("\n\n")[2]
    signature = base64.b64decode(line.split()[-1])
    bad = bytearray(signature)
    bad[-1] ^= 1

    def resigned(raw: bytes) -> str:
        return f"{text}\n\n\N{EM DASH} {origin} {base64.b64encode(raw).decode()}\n"

    yield with_note(
        "a stranger's line behind the gateway's", f"{note}{strange}", "VERIFIED", "ok", "honest"
    )
    yield with_note(
        "a stranger's line before the gateway's",
        f"{text}\n\n{strange}{line}",
        "VERIFIED",
        "ok",
        "honest",
    )
    yield with_note("one bit of the signature", resigned(bytes(bad)), "TAMPERED", "failed")
    second = resigned(bytes(bad)).partition("\n\n")[2]
    yield with_note("another key id", resigned(bytes(4) + signature[4:]), "TAMPERED", "failed")
    yield with_note("the gateway's line missing", f"{text}\n\n{strange}", "TAMPERED", "failed")
    yield with_note(
        "a second line of the gateway that is wrong",
        note + second,
        "TAMPERED",
        "failed",
    )
    bigger = note.replace(f"\n{_RECORDS}\n", f"\n{_RECORDS + 1}\n")
    yield with_note("another size under the old signature", bigger, "TAMPERED", "failed")
    root = text.split("\n")[2]
    other = base64.b64encode(bytes(32)).decode()
    yield with_note(
        "another root under the old signature", note.replace(root, other), "TAMPERED", "failed"
    )
    foreign = checkpoint.sign(
        key("stranger"),
        checkpoint.gateway_name(key("stranger").public),
        _RECORDS,
        merkle.root(world.log.leaves()),
    )
    yield with_note("of a gateway whom nobody trusts", foreign, "UNTRUSTED", "untrusted")
    claimed = checkpoint.sign(key("stranger"), origin, _RECORDS, merkle.root(world.log.leaves()))
    yield with_note("a stranger's, in the gateway's name", claimed, "TAMPERED", "failed")
    yield Cheat(
        *("policy", "a gateway whom nobody trusts", data, {**policy, "gateways": []}),
        *("UNTRUSTED", code, "untrusted"),
    )
