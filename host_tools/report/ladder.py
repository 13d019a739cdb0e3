"""A Merkle path, drawn: from a leaf on the left to the root on the right, each step with the hash that it takes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick import merkle
from tallystick.milestone import Confirmed
from tallystick.proof import Proof
from tallystick_host.places import place

__all__ = ["Ladder", "Step", "of_anchor", "of_record", "steps"]


@dataclass(frozen=True)
class Step:
    """One hash joined to the way: on the `left` or the right of it; `made` is what the two give."""

    left: bool
    sibling: bytes
    made: bytes


@dataclass(frozen=True)
class Ladder:
    """The way of one leaf. `good`: does it lead to the root that was signed?"""

    leaf: bytes
    index: int
    size: int
    steps: tuple[Step, ...]
    root: bytes

    @property
    def good(self) -> bool:
        """Is the last hash the root?"""
        return (self.steps[-1].made if self.steps else self.leaf) == self.root


def of_record(proof: Proof, number: int) -> Ladder | None:
    """The way of record `number` of the proof into the gateway's log; None if the file holds none."""
    checkpoint = proof.checkpoint
    inclusion = place(proof, number)
    if checkpoint is None or inclusion is None:
        return None
    leaf = merkle.leaf_hash(proof.records[number].raw)
    climbed = steps(leaf, inclusion.index, checkpoint.size, inclusion.path)
    return Ladder(leaf, inclusion.index, checkpoint.size, climbed, checkpoint.root)


def of_anchor(confirmed: Confirmed) -> Ladder:
    """The way of the anchor into the ledger."""
    leaf = merkle.leaf_hash(confirmed.block.id)
    stone = confirmed.milestone
    climbed = steps(leaf, confirmed.position, stone.size, confirmed.path)
    return Ladder(leaf, confirmed.position, stone.size, climbed, stone.root)


def steps(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> tuple[Step, ...]:
    """RFC 9162, 2.1.3.2, step by step; what is too long is cut off, and then does not reach the root."""
    fn, sn, r = index, size - 1, leaf
    made: list[Step] = []
    for sibling in path:
        if sn <= 0:
            break
        left = bool(fn & 1) or fn == sn
        r = merkle.node_hash(sibling, r) if left else merkle.node_hash(r, sibling)
        while left and not fn & 1 and fn:
            fn, sn = fn >> 1, sn >> 1
        fn, sn = fn >> 1, sn >> 1
        made.append(Step(left, sibling, r))
    return tuple(made)
