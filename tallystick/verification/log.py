"""Steps 7 and 8: the records in the log of a gateway, and who signed the checkpoint."""

from __future__ import annotations

from tallystick import merkle
from tallystick.checkpoint import Checkpoint
from tallystick.errors import EvidenceError, KeyUnknownError, TallystickError
from tallystick.proof import SharedInclusion
from tallystick.verdict import Outcome
from tallystick.verification.state import Verification, some

__all__ = ["inclusion", "signature"]


def inclusion(v: Verification) -> None:
    """7. **log.inclusion**: does each record's path lead to the root of the checkpoint?"""
    p = v.proof
    code = "log.inclusion"
    checkpoint = p.checkpoint
    if checkpoint is None:
        return
    if p.shared is not None:
        _shared(v, p.shared, checkpoint)
        return
    if not p.inclusions:
        v.add(code, Outcome.UNDECIDED, "no inclusion in the file")
        return
    bad: list[str] = []
    for one, place in zip(p.records, p.inclusions, strict=True):
        leaf = merkle.leaf_hash(one.raw)
        try:
            merkle.verify_inclusion(leaf, place.index, checkpoint.size, place.path, checkpoint.root)
        except TallystickError as error:
            v.bad.add(one.seq)
            bad.append(f"seq {one.seq}: {error.detail}")
    if bad:
        v.add(code, Outcome.FAILED, some(bad))
    else:
        v.add(code, Outcome.OK, f"in a log of {checkpoint.size}")


def _shared(v: Verification, shared: SharedInclusion, checkpoint: Checkpoint) -> None:
    from tallystick import shared_inclusion

    hashes = map(merkle.leaf_hash, (one.raw for one in v.proof.records))
    leaves = dict(zip(shared.indices, hashes, strict=True))
    try:
        shared_inclusion.verify(leaves, checkpoint.size, shared.hashes, checkpoint.root)
    except TallystickError as error:
        v.add("log.inclusion", Outcome.FAILED, error.detail)
    else:
        v.add("log.inclusion", Outcome.OK, f"{len(leaves)} together, in a log of {checkpoint.size}")


def signature(v: Verification) -> None:
    """8. **checkpoint.signature**: did a gateway of the policy sign the checkpoint?"""
    checkpoint = v.proof.checkpoint
    if checkpoint is None:
        return
    code = "checkpoint.signature"
    gateway = v.policy.gateway(checkpoint.origin)
    if gateway is None:
        v.add(code, Outcome.UNTRUSTED, f"log {checkpoint.origin!r} is not in the policy")
        return
    try:
        checkpoint.verify(gateway.vkey)
    except (EvidenceError, KeyUnknownError) as error:
        v.add(code, Outcome.FAILED, error.detail)
        return
    strangers = len(checkpoint.note.signatures) - 1
    if strangers:
        v.notes.append(f"{strangers} signature line(s) of other keys were ignored")
    v.add(code, Outcome.OK, f"signed by {gateway.name or checkpoint.origin}")
