"""Where one record of a proof stands in the gateway's log, whichever way the proof says it."""

from __future__ import annotations

from tallystick import merkle
from tallystick.errors import TallystickError
from tallystick.proof import Inclusion, Proof

__all__ = ["place"]


def place(proof: Proof, number: int) -> Inclusion | None:
    """Leaf index and path of record `number` of the proof; None if the file does not say. Nothing is verified."""
    if proof.shared is None:
        return proof.inclusions[number] if number < len(proof.inclusions) else None
    if proof.checkpoint is None:
        return None
    from tallystick import shared_inclusion

    hashes = (merkle.leaf_hash(one.raw) for one in proof.records)
    leaves = dict(zip(proof.shared.indices, hashes, strict=True))
    index = proof.shared.indices[number]
    try:
        path = shared_inclusion.path(index, leaves, proof.checkpoint.size, proof.shared.hashes)
    except TallystickError:
        return None
    return Inclusion(index, tuple(path))
