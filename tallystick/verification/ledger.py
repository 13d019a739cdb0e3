"""Step 9: the anchor in the ledger, and the milestone that confirms it."""

from __future__ import annotations

from tallystick import merkle
from tallystick.checkpoint import ledger_name
from tallystick.errors import EvidenceError, TallystickError
from tallystick.milestone import Confirmed, Milestone
from tallystick.verdict import Outcome
from tallystick.verification.state import Verification, some

__all__ = ["anchor", "inclusion_of", "milestone_of", "witnesses"]


def anchor(v: Verification) -> None:
    """9. **ledger.inclusion**, **ledger.milestone**: is the checkpoint in a ledger of the policy?"""
    given = v.proof.anchor
    if given is None:
        v.add("ledger.inclusion", Outcome.PENDING, "not anchored yet")
        v.add("ledger.milestone", Outcome.PENDING, "not anchored yet")
        return
    v.add("ledger.inclusion", *inclusion_of(given))
    v.add("ledger.milestone", *milestone_of(v, given.milestone))


def witnesses(v: Verification) -> None:
    """9. **ledger.witness**: have enough witnesses of the policy seen the ledger only grow up to here?"""
    code = "ledger.witness"
    if not v.policy.quorum:
        return
    anchor = v.proof.anchor
    if anchor is None:
        v.add(code, Outcome.PENDING, "not anchored yet")
        return
    cosigned = v.proof.cosigned
    if cosigned is None:
        v.add(
            code,
            Outcome.UNDECIDED,
            f"no cosigned checkpoint, {v.policy.quorum} witness(es) required",
        )
        return
    milestone, note = anchor.milestone, cosigned.checkpoint
    ledger = v.policy.ledger(milestone.ledger)
    try:
        if note.origin != ledger_name(milestone.ledger):
            v.add(code, Outcome.FAILED, f"the cosigned checkpoint is one of {note.origin!r}")
            return
        merkle.verify_consistency(
            milestone.size, milestone.root, note.size, note.root, cosigned.path
        )
        if ledger is not None:  # whoever signs for a ledger that nobody trusts
            note.verify(ledger.vkey)
        seen = [(one, one.vkey.seen_at(note.note)) for one in v.policy.witnesses]
    except TallystickError as error:
        v.add(code, Outcome.FAILED, error.detail)
        return
    names = [one.name or one.vkey.name for one, time in seen if time is not None]
    if len(names) < v.policy.quorum:
        missing = [one.name or one.vkey.name for one, time in seen if time is None]
        detail = f"{len(names)} of {v.policy.quorum} witnesses; no line of {some(missing)}"
        v.add(code, Outcome.UNDECIDED, detail)
    else:
        v.add(code, Outcome.OK, f"cosigned by {some(names)} at {note.size} blocks")


def milestone_of(v: Verification, milestone: Milestone) -> tuple[Outcome, str]:
    """Did a ledger of the policy sign this milestone?"""
    ledger = v.policy.ledger(milestone.ledger)
    if ledger is None:
        return Outcome.UNTRUSTED, f"ledger {milestone.ledger.hex()} is not in the policy"
    try:
        milestone.verify(ledger.vkey.key)
    except EvidenceError as error:
        return Outcome.FAILED, error.detail
    by = f", operated by {ledger.operator}" if ledger.operator else ""
    return Outcome.OK, f"milestone {milestone.index} of ledger {milestone.ledger.hex()}{by}"


def inclusion_of(confirmed: Confirmed) -> tuple[Outcome, str]:
    """Does the block's path lead to the root of its milestone?"""
    try:
        confirmed.verify_inclusion()
    except TallystickError as error:
        return Outcome.FAILED, error.detail
    return Outcome.OK, f"position {confirmed.position} of {confirmed.milestone.size} blocks"
