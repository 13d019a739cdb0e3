"""Every hash of a proof, step by step, so that each can be done again by hand.

A line reads `what = value`, in hexadecimal. `sha256(...)` is over the bytes that stand in it; `||` joins them. A record
is shown in full, so that its bytes need not be taken out of the file. `printf HEX | xxd -r -p | sha256sum` is a step.
"""

from __future__ import annotations

import base64
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from tallystick import merkle
from tallystick.milestone import Confirmed
from tallystick.proof import Proof, SharedInclusion
from tallystick.record import Record
from tallystick_host.words import rfc3339

__all__ = ["steps"]


def steps(proof: Proof) -> Iterator[str]:
    """The lines, in the order of docs/format.md, section 12."""
    yield "each hash step, by docs/format.md, section 12:"
    for one in (*proof.links, *proof.opens, *proof.rotations, *proof.records):
        yield from _record(one)
    if proof.checkpoint is not None:
        size, root = proof.checkpoint.size, proof.checkpoint.root
        for one, place in zip(proof.records, proof.inclusions, strict=False):
            yield f"seq {one.seq} in the log, leaf {place.index} of {size}:"
            leaf = merkle.leaf_hash(one.raw)
            yield f"  sha256(00 || record) = {leaf.hex()}"
            yield from _path(leaf, place.index, size, place.path)
        if proof.shared is not None:
            yield f"the records together in the log of {size}:"
            yield from _shared(proof.records, proof.shared, size)
        yield f"  must be the root of the checkpoint = {root.hex()}"
        yield f"checkpoint {proof.checkpoint.origin}, {size} leaves, root {base64.b64encode(root).decode()}"
        yield f"  signed text (hex) = {proof.checkpoint.note.text.encode().hex()}"
    if proof.anchor is not None:
        yield from _confirmed("anchor", proof.anchor)
    for confirmed, said in proof.statements:
        yield from _confirmed(f"statement {said.kind.name.lower()}", confirmed)


def _record(one: Record) -> Iterator[str]:
    signed = one.signed
    yield f"seq {one.seq} {one.kind.name.lower()}, {rfc3339(one.time)}:"
    yield f"  record = {one.raw.hex()}"
    yield f"  signed bytes = {signed.signed_bytes.hex()}"
    yield f"  key {signed.kid.hex()} signed them: signature = {signed.signature.hex()}"
    yield f"  sha256(signed bytes) = {one.id.hex()}, its id, the prev of seq {one.seq + 1}"
    yield f"  prev = {one.prev.hex()}"


def _path(value: bytes, index: int, size: int, path: Sequence[bytes]) -> Iterator[str]:
    """RFC 9162, 2.1.3.2, hash by hash."""
    fn, sn = index, size - 1
    for other in path:
        if fn & 1 or fn == sn:
            left, right = other, value
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            left, right = value, other
        value = merkle.node_hash(left, right)
        yield f"  sha256(01 || {left.hex()} || {right.hex()}) = {value.hex()}"
        fn, sn = fn >> 1, sn >> 1


def _shared(records: Sequence[Record], shared: SharedInclusion, size: int) -> Iterator[str]:
    """Section 11, part 14: the recursion, from the leaves up."""
    leaves = {
        at: merkle.leaf_hash(one.raw) for at, one in zip(shared.indices, records, strict=True)
    }
    order, left, lines = sorted(leaves), iter(shared.hashes), list[str]()

    def over(start: int, end: int) -> bytes:
        first, last = bisect_left(order, start), bisect_left(order, end)
        if first == last:
            return next(left, b"")
        if end - start == 1:
            lines.append(f"  leaf {start}: sha256(00 || record) = {leaves[start].hex()}")
            return leaves[start]
        middle = start + merkle.split(end - start)
        below, above = over(start, middle), over(middle, end)
        value = merkle.node_hash(below, above)
        lines.append(f"  sha256(01 || {below.hex()} || {above.hex()}) = {value.hex()}")
        return value

    if order and size > order[-1]:
        over(0, size)
    yield from lines


def _confirmed(what: str, one: Confirmed) -> Iterator[str]:
    stone = one.milestone
    yield f"{what}, position {one.position} of {stone.size} blocks:"
    yield f"  block = {one.block.raw.hex()}"
    yield f"  sha256(block) = {one.block.id.hex()}, its id"
    leaf = merkle.leaf_hash(one.block.id)
    yield f"  sha256(00 || id) = {leaf.hex()}"
    yield from _path(leaf, one.position, stone.size, one.path)
    yield f"  must be the root of milestone {stone.index} = {stone.root.hex()}"
    yield f"  milestone's signed bytes = {stone.block.signed.signed_bytes.hex()}"
    yield f"  key {stone.block.signed.kid.hex()} signed them: signature = {stone.block.signed.signature.hex()}"
