"""Step 11: between which two moments the records were signed, by the clock of the ledger alone."""

from __future__ import annotations

from tallystick.body import Beacon, Open
from tallystick.milestone import Milestone
from tallystick.record import CLOCK_UNSET_BELOW
from tallystick.verdict import Outcome
from tallystick.verification.ledger import milestone_of
from tallystick.verification.state import Verification

__all__ = ["window"]


def window(v: Verification) -> None:
    """11. **time.window**: not before, not after, and whether the board's clock agrees."""
    p = v.proof
    code = "time.window"
    not_after = p.anchor.milestone.time if p.anchor and v.anchored() else None
    if p.before is not None and not _not_before(v, p.before):
        return
    if v.not_before is None and not_after is None:
        v.add(code, Outcome.SKIPPED, "no milestone before or after")
        return
    if v.not_before is not None and not_after is not None and v.not_before > not_after:
        v.add(code, Outcome.FAILED, "the milestone before is later than the one after")
        return
    for one in p.records:
        early = v.not_before is not None and one.time < v.not_before
        late = not_after is not None and one.time > not_after
        if one.time >= CLOCK_UNSET_BELOW and (early or late):
            v.notes.append(f"the board's clock at seq {one.seq} lies outside the window")
            break
    v.add(code, Outcome.OK)


def _not_before(v: Verification, before: Milestone) -> bool:
    """Does the chain embed `before`, so that the records are younger? Adds the check if not."""
    p = v.proof
    code = "time.window"
    first = (*p.links, *p.records)[0]
    embeds = first.body.milestone if isinstance(first.body, Beacon | Open) else None
    if embeds is None or (embeds.ledger, embeds.id) != (before.ledger, before.id):
        v.add(code, Outcome.UNDECIDED, "the milestone before is not the one in the chain")
        return False
    if p.anchor is not None and p.anchor.milestone.ledger != before.ledger:
        # two ledgers are two clocks
        v.add(code, Outcome.UNDECIDED, "the milestone before is of another ledger")
        return False
    linked = v.outcome("chain.link"), v.outcome("chain.gap")
    unbroken = (*p.links, *p.records)[-1].seq - first.seq == len(p.links) + len(p.records) - 1
    if linked != (Outcome.OK, Outcome.OK) or not unbroken:
        v.add(code, Outcome.UNDECIDED, "the chain back to the milestone is broken")
        return False
    result, detail = milestone_of(v, before)
    if result is not Outcome.OK:
        v.add(code, result, f"milestone before: {detail}")
        return False
    v.not_before = before.time
    return True
