"""Step 9: the anchor in the ledger, and the milestone that confirms it."""

from __future__ import annotations

from tallystick.errors import EvidenceError, TallystickError
from tallystick.milestone import Confirmed, Milestone
from tallystick.verdict import Outcome
from tallystick.verification.state import Verification

__all__ = ["anchor", "inclusion_of", "milestone_of"]


def anchor(v: Verification) -> None:
    """9. **ledger.inclusion**, **ledger.milestone**: is the checkpoint in a ledger of the policy?"""
    given = v.proof.anchor
    if given is None:
        v.add("ledger.inclusion", Outcome.PENDING, "not anchored yet")
        v.add("ledger.milestone", Outcome.PENDING, "not anchored yet")
        return
    v.add("ledger.inclusion", *inclusion_of(given))
    v.add("ledger.milestone", *milestone_of(v, given.milestone))


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
