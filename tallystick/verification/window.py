"""Step 11: between which two moments the records were signed, by the clock of the ledger alone."""

from __future__ import annotations

from tallystick.body import Beacon, Open
from tallystick.milestone import Milestone
from tallystick.policy import same_operator
from tallystick.verdict import Outcome
from tallystick.verification.ledger import milestone_of
from tallystick.verification.state import Verification

__all__ = ["window"]


def window(v: Verification) -> None:
    """11. **time.window**: not before, not after, and whether the board's clock agrees."""
    p = v.proof
    code = "time.window"
    not_after = v.anchor_time if v.anchored() else None
    if p.before is not None and not _not_before(v, p.before):
        return
    if v.not_before is None and not_after is None:
        v.add(code, Outcome.SKIPPED, "no milestone before or after")
        return
    if v.not_before is not None and not_after is not None and v.not_before > not_after:
        # two clocks, the bridge's own and that of the other ledger, may contradict each other in good faith
        bridged = v.bridged is not None
        result = Outcome.UNDECIDED if bridged else Outcome.FAILED
        v.add(code, result, "the milestone before is later than the one after")
        return
    if v.not_before is not None and v.bridged is not None:
        v.notes.append("'not before' rests on the bridge's own clock alone")
    _clock(v, not_after)
    _one_party(v)
    if code in v.policy.required and None in (v.not_before, not_after):
        side = "before" if v.not_before is None else "after"
        v.add(code, Outcome.UNDECIDED, f"required: no milestone {side}")
        return
    v.add(code, Outcome.OK)


def _clock(v: Verification, not_after: int | None) -> None:
    """What the board's own clock claims is shown as a claim; one that contradicts the ledger's is reported."""
    timed = [one for one in v.proof.records if one.clock_set]
    early = [one for one in timed if v.not_before is not None and one.time < v.not_before]
    late = [one for one in timed if not_after is not None and one.time > not_after]
    if early and v.not_before is not None:
        by = v.not_before - early[0].time
        v.warnings.append(
            _contradiction(len(early), early[0].seq, f"{by} s before the window begins")
        )
    if late and not_after is not None:
        by = late[-1].time - not_after
        v.warnings.append(_contradiction(len(late), late[-1].seq, f"{by} s after the window ends"))


def _contradiction(count: int, seq: int, where: str) -> str:
    records = "1 record" if count == 1 else f"{count} records"
    return (
        f"the board's clock at seq {seq} lies {where}; so it is with {records}: its times are wrong"
    )


def _one_party(v: Verification) -> None:
    """The window rests on the ledger alone, and on nobody if the gateway's owner runs it."""
    p = v.proof
    gateway = v.policy.gateway(p.checkpoint.origin) if p.checkpoint else None
    ledger = v.policy.ledger(p.anchor.milestone.ledger) if p.anchor else None
    operator = same_operator(gateway, ledger)
    if operator:
        v.warnings.append(
            f"{operator} runs both the gateway and the ledger: the time bounds are one party's word"
        )
    elif gateway and ledger and gateway.vkey.key == ledger.vkey.key:
        v.warnings.append(
            "one key signs for the gateway and for the ledger: the time bounds are one party's word"
        )


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
