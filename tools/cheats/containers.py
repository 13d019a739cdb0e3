"""The file itself: cut, stretched, out of order, and every malformed object in its place in a proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tallystick import cbor, cose, milestone
from tallystick.cose import Typ
from tallystick.proof import Part
from tests.world import small
from tools.cheats import FORMAT, Cheat, packed, parts_of, policy_table, swapped

_PLACES = {
    "record": Part.RECORD,
    "checkpoint": Part.CHECKPOINT,
    "confirmed": Part.ANCHOR,
    "credential": Part.CREDENTIAL,
    "milestone": Part.BEFORE,
}


def cheats() -> Iterator[Cheat]:
    """Undecided all, and nothing else runs."""
    world, data = small()
    policy = policy_table(world)

    def bad(name: str, raw: bytes, error: str, cheat: str = "container") -> Cheat:
        return Cheat(cheat, name, raw, policy, "UNDECIDED", FORMAT, "undecided", error)

    yield Cheat("honest", "one record", data, policy, "VERIFIED", "time.window", "ok")
    yield bad("no byte at all", b"", "cbor.malformed")
    yield bad("cut in the middle", data[: len(data) // 2], "cbor.malformed")
    yield bad("cut by its last byte", data[:-1], "cbor.malformed")
    yield bad("one byte more", data + b"\x00", "cbor.not-deterministic")
    yield bad("two files in one", data + data, "cbor.not-deterministic")
    yield bad("not a proof: text", b"VERIFIED\n", "cbor.malformed")
    parts = parts_of(data)
    yield bad("another magic", packed(parts, magic="tallx"), "proof.magic")
    yield bad("magic in bytes", packed(parts, magic=b"tally"), "proof.magic")
    yield bad("version 2", packed(parts, version=2), "proof.version")
    yield bad("version true", packed(parts, version=True), "proof.version")
    yield bad("bare array of parts", cbor.encode([list(part) for part in parts]), "proof.magic")
    long_form = data[:8] + b"\x98" + bytes([data[8] & 0x1F]) + data[9:]
    yield bad("count of parts in two bytes", long_form, "cbor.not-deterministic")
    yield bad("indefinite parts", data[:8] + b"\x9f" + data[9:] + b"\xff", "cbor.malformed")
    yield bad("nine levels deep", b"\x81" * 9 + b"\x00", "cbor.too-deep")
    yield bad("a float for the version", data[:7] + b"\xf9\x3c\x00" + data[8:], "cbor.type")
    tagged: Any = cbor.decode(world.device.records[1].raw)
    five = cbor.encode(cbor.Tagged(18, [*tagged.value, b""]))
    yield bad("a record of five elements", swapped(data, 1, five), "cose.shape")
    kind = cbor.encode({**_claims(data), -65539: "ESP32 GENERIC"})
    named = cose.sign(world.issuer, Typ.CREDENTIAL, kind)
    yield bad("a board kind with a space", swapped(data, 8, named), "credential.board")
    of = dict(parts)
    anchor, statement = of[6], of[9]
    yield bad("a statement for an anchor", swapped(data, 6, statement), "proof.anchor")
    yield bad("an anchor for a statement", swapped(data, 9, anchor), "proof.statement")
    without = [part for part in parts if part[0] != 6]
    long = world.log.checkpoint() + b"\n" * 16_384
    wordy = packed(sorted([*without, (5, long)], key=lambda part: part[0]))
    yield bad("a note of more than 16,384 bytes", wordy, "note.too-long")
    yield from _parts(data, bad)
    yield from _places(data, bad)


def _parts(data: bytes, bad: Callable[..., Cheat]) -> Iterator[Cheat]:
    parts = parts_of(data)
    of = dict(parts)
    yield bad("no record", packed([p for p in parts if p[0] not in (1, 4)]), "proof.no-record")
    yield bad("a record twice", packed(sorted([*parts, (1, of[1])])), "proof.order")
    yield bad("parts out of order", packed(parts[::-1]), "proof.order")
    yield bad("part type 0", packed([(0, b""), *parts]), "proof.part-type")
    yield bad("part type 99", packed([*parts, (99, b"")]), "proof.part-type")
    yield bad("part type true", cbor.encode(["tally", 1, [[True, of[1]]]]), "proof.part-type")
    yield bad("part without bytes", cbor.encode(["tally", 1, [[1, None]]]), "proof.parts")
    yield bad("part of three", cbor.encode(["tally", 1, [[1, b"", b""]]]), "proof.parts")
    twice = packed(sorted([*parts, (8, of[8])], key=lambda part: part[0]))
    yield bad("two credentials", twice, "proof.count")
    anchors = packed(sorted([*parts, (6, of[6])], key=lambda part: part[0]))
    yield bad("two anchors", anchors, "proof.count")
    neither = packed([p for p in parts if p[0] != 6])
    yield bad("neither checkpoint nor anchor", neither, "proof.checkpoint")
    note = packed(sorted([*parts, (5, _note(of[6]))], key=lambda part: part[0]))
    yield bad("checkpoint and anchor", note, "proof.checkpoint")
    more = packed(sorted([*parts, (4, of[4])], key=lambda part: part[0]))
    yield bad("more inclusions than records", more, "proof.inclusions")
    both = [*parts, (14, cbor.encode([[1], []]))]
    yield bad("shared inclusion beside a single one", packed(both), "proof.shared")
    without = [p for p in parts if p[0] != 4]
    few = [*without, (14, cbor.encode([[1, 2], []]))]
    yield bad("shared inclusion of more than the records", packed(few), "proof.shared")
    yield bad("shared inclusion: no array", packed([*without, (14, b"\x00")]), "proof.shared")
    unanchored = [p for p in parts if p[0] != 6] + [(5, _note(of[6]))]
    cosigned = (13, cbor.encode([_note(of[6]), []]))
    alone = packed(sorted([*unanchored, cosigned], key=lambda part: part[0]))
    yield bad("cosigned checkpoint without an anchor", alone, "proof.cosigned")
    yield bad("cosigned: no note", packed([*parts, (13, b"\x82\x00\x80")]), "proof.cosigned")
    yield bad("a fork of one record", packed([*parts, (12, cbor.encode([of[1]]))]), "proof.fork")
    yield bad("a readings record as open", swapped(data, 2, of[1]), "proof.kind")
    yield bad("an open as rotation", packed([*parts[:2], (3, of[2]), *parts[2:]]), "proof.kind")
    link = packed([*parts, (10, of[1])])
    yield bad("a link that lies after the first record", link, "proof.order")
    yield bad("inclusion: no array", swapped(data, 4, b"\x00"), "proof.inclusion")
    negative = swapped(data, 4, cbor.encode([-1, []]))
    yield bad("inclusion: negative index", negative, "field.range")
    beyond = swapped(data, 4, cbor.encode([2**63, []]))
    yield bad("inclusion: index above 2^63 - 1", beyond, "field.range")
    short = swapped(data, 4, cbor.encode([1, [bytes(31)]]))
    yield bad("inclusion: hash of 31 bytes", short, "field.range")
    wordy = swapped(data, 4, cbor.encode([1, [bytes(32)] * 64]))
    yield bad("inclusion: path of 64 hashes", wordy, "field.range")


def _claims(data: bytes) -> dict[Any, Any]:
    tagged: Any = cbor.decode(dict(parts_of(data))[8])
    claims: Any = cbor.decode(tagged.value[2])
    return dict(claims)


def _note(anchor: bytes) -> bytes:
    return milestone.parse_confirmed(anchor).block.carried


def _places(data: bytes, bad: Callable[..., Cheat]) -> Iterator[Cheat]:
    """Every object of `tools.refused`, where a proof would hold it: each field of the format."""
    from tools.refused import bad_bytes

    for name, what, raw, error in bad_bytes():
        place = _PLACES.get(what)
        if place is None or error == "record.open-length":
            continue
        parts = [p for p in parts_of(data) if p[0] != place]
        if place is Part.CHECKPOINT:
            parts = [p for p in parts if p[0] != Part.ANCHOR]
        changed = sorted([*parts, (int(place), raw)], key=lambda part: part[0])
        yield bad(f"{what}: {name}", packed(changed), error, "malformed object")
