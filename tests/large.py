"""Large honest proofs, made quickly: one device, one log, all records under one shared inclusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tallystick import checkpoint, merkle, proof, shared_inclusion
from tallystick.block import BlockKind
from tallystick.record import Record
from tests.world import World

__all__ = ["proofs"]


def proofs(world: World, records: int, *, files: int = 1, readings: int = 1) -> Iterator[bytes]:
    """`files` proofs that hold `records` new records of the device together, `readings` readings in each."""
    values = [215 + n % 5 for n in range(readings)]
    if not world.device.records:
        world.device.open()
    start = len(world.device.records)
    for _ in range(records):
        world.device.readings(values)
    made = world.device.records
    leaves = [merkle.leaf_hash(one.raw) for one in made]
    note = checkpoint.sign(world.log.signer, world.log.origin, len(leaves), merkle.root(leaves))
    posted = world.ledger.post(BlockKind.ANCHOR, note, world.device.time)
    world.ledger.milestone(world.device.time + 600)
    anchor = world.ledger.confirmed(posted).encode()
    tree = _Tree(leaves)
    each = -(-records // files)
    for first in range(start, len(made), each):
        yield _one(world, made[first : first + each], made[0], anchor, tree, first)


def _one(
    world: World, part: Sequence[Record], opened: Record, anchor: bytes, tree: _Tree, first: int
) -> bytes:
    at = range(first, first + len(part))
    up = shared_inclusion.prove(at, tree.size, tree.subtree)
    return proof.build(
        records=[one.raw for one in part],
        opens=[opened.raw],
        anchor=anchor,
        credential=world.credential(),
        shared=(list(at), up),
    )


class _Tree:
    """Roots of complete subtrees, each computed once."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.size = len(leaves)
        self._levels = [leaves]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            pairs = range(0, len(below) - 1, 2)
            self._levels.append([merkle.node_hash(below[i], below[i + 1]) for i in pairs])

    def subtree(self, start: int, end: int) -> bytes:
        size = end - start
        level = size.bit_length() - 1
        if size == 1 << level and start % size == 0:
            return self._levels[level][start >> level]
        middle = start + merkle.split(size)
        return merkle.node_hash(self.subtree(start, middle), self.subtree(middle, end))
