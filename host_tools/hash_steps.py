"""Every hash of a proof, step by step, so that each can be done again by hand.

A line reads `what = value`, in hexadecimal. `sha256(...)` is over the bytes that stand in it; `||` joins them. A record
is shown in full, so that its bytes need not be taken out of the file. `printf HEX | xxd -r -p | sha256sum` is a step.
"""

from __future__ import annotations

import base64
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import sha256

from tallystick import merkle, record
from tallystick.body import Rotate
from tallystick.cose import Signed
from tallystick.credential import Credential
from tallystick.milestone import Confirmed, Milestone
from tallystick.note import Note
from tallystick.proof import Cosigned, Proof, SharedInclusion
from tallystick.record import Record
from tallystick.transaction import Transaction
from tallystick_host.words import rfc3339, shown

__all__ = ["steps"]


def steps(proof: Proof) -> Iterator[str]:
    """The lines, in the order of docs/format.md, section 12."""
    yield "each hash step, by docs/format.md, section 12:"
    if proof.credential is not None:
        yield from _credential(proof.credential)
    for one in (*proof.links, *proof.opens, *proof.rotations, *proof.records):
        yield from _record(one, proof.credential)
    for number, pair in enumerate(proof.forks, 1):
        yield f"fork pair {number}, of one key and two histories:"
        for one in pair:
            yield from _record(one, None)
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
        yield from _note(proof.checkpoint.note)
    if proof.anchor is not None:
        yield from _confirmed("anchor", proof.anchor)
        if proof.cosigned is not None:
            yield from _cosigned(proof.cosigned, proof.anchor.milestone)
        if proof.anchor.transaction is not None:
            yield from _transaction(proof.anchor.transaction)
    for confirmed, said in proof.statements:
        yield from _confirmed(f"statement {said.kind.name.lower()}", confirmed)
        yield from _signed("statement's ", said.signed)
        yield f"  sha256(signed bytes) = {said.id.hex()}, its id; it follows {_hex(said.previous)}"
    if proof.before is not None:
        stone = proof.before
        yield f"the milestone before, {stone.index} of ledger {stone.ledger.hex()}, {rfc3339(stone.time)}:"
        yield f"  block = {stone.block.raw.hex()}"
        yield f"  sha256(block) = {stone.id.hex()}, its id, which stands in the first record"
        yield from _signed("milestone's ", stone.block.signed)


def _credential(held: Credential) -> Iterator[str]:
    """Whose signature makes the device's key one, and what follows from that key."""
    first = held.device_key
    yield f"credential, by {held.issuer}:"
    yield from _signed("credential's ", held.signed)
    yield f"  the device's first key, in its DID {held.subject} = {first.raw.hex()}"
    yield f"  sha256(first key) = {sha256(first.raw).hexdigest()}, which begins with its id"
    start = f"{record.GENESIS_LABEL.hex()} || {first.raw.hex()}"
    yield f"  sha256({start}) = {record.genesis(first).hex()}, the prev of seq 0"
    if held.key is not None:
        yield f"  the key in force = {held.key.raw.hex()}"


def _signed(whose: str, signed: Signed) -> Iterator[str]:
    yield f"  {whose}signed bytes = {signed.signed_bytes.hex()}"
    yield f"  key {signed.kid.hex()} signed them: signature = {signed.signature.hex()}"


def _record(one: Record, held: Credential | None) -> Iterator[str]:
    yield f"seq {one.seq} {one.kind.name.lower()}, {rfc3339(one.time)}:"
    yield f"  record = {one.raw.hex()}"
    yield from _signed("", one.signed)
    yield f"  sha256(signed bytes) = {one.id.hex()}, its id, the prev of seq {one.seq + 1}"
    yield f"  prev = {one.prev.hex()}"
    if isinstance(one.body, Rotate):
        key = one.body.key
        yield f"  the new key = {key.raw.hex()}"
        if held is not None:
            id = record.device_id(held.device_key)
            said = record.possession_bytes(id, one.seq, one.prev, one.time, key)
            yield f"  possession's signed bytes = {said.hex()}"
        yield f"  key {key.kid.hex()} signed them: signature = {one.body.possession.hex()}"


def _note(note: Note) -> Iterator[str]:
    yield f"  signed text (hex) = {note.text.encode().hex()}"
    for line in note.signatures:
        yield f"  line of {shown(line.name)}, key id {line.key_id.hex()}: signature = {line.signature.hex()}"


def _cosigned(one: Cosigned, stone: Milestone) -> Iterator[str]:
    """RFC 9162, 2.1.4.2: both roots from one path."""
    size, later = stone.size, one.checkpoint.size
    yield f"cosigned checkpoint, {later} blocks, which grew from the {size} of milestone {stone.index}:"
    yield from _grown(size, later, [stone.root] * (size & (size - 1) == 0) + list(one.path))
    yield f"  must be the roots of {size} and of {later} = {stone.root.hex()}, {one.checkpoint.root.hex()}"
    yield from _note(one.checkpoint.note)


def _grown(size: int, later: int, path: Sequence[bytes]) -> Iterator[str]:
    fn, sn = size - 1, later - 1
    if size == later or not path:
        return
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for other in path[1:]:
        if fn & 1 or fn == sn:
            for value in dict.fromkeys((old, new)):
                yield _node(other, value)
            old, new = merkle.node_hash(other, old), merkle.node_hash(other, new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            yield _node(new, other)
            new = merkle.node_hash(new, other)
        fn, sn = fn >> 1, sn >> 1


def _transaction(sent: Transaction) -> Iterator[str]:
    yield f"transaction on eip155:{sent.chain}, nonce {sent.nonce}:"
    yield f"  transaction = {sent.raw.hex()}"
    yield f"  keccak256(transaction) = {sent.hash.hex()}, by which the other ledger knows it"
    yield f"  its data = {sent.data.hex()}, TLY1 || sha256(signed text)"
    if sent.later is not None:
        yield f"  of the ledger's own checkpoint of {sent.later.size} blocks, root {sent.later.root.hex()}"
    yield f"  key {sent.key.hex()} signed {sent.digest.hex()}: r, s = {sent.r:064x}, {sent.s:064x}"


def _node(left: bytes, right: bytes) -> str:
    value = merkle.node_hash(left, right)
    return f"  sha256(01 || {left.hex()} || {right.hex()}) = {value.hex()}"


def _hex(value: bytes | None) -> str:
    return "none" if value is None else value.hex()


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
        yield _node(left, right)
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
        lines.append(_node(below, above))
        return merkle.node_hash(below, above)

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
    yield from _signed("milestone's ", stone.block.signed)
