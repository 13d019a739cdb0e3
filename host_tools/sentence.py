"""A verdict in words: one sentence, and what was not proven.

The sentence never says more than the checks that ran: "as the board signed them" only when the signatures were
checked, a time only when a ledger proves one.
"""

from __future__ import annotations

from tallystick import did, record
from tallystick.errors import TallystickError
from tallystick.verdict import Check, Outcome, Status, Verdict
from tallystick_host.words import plural, rfc3339, span

__all__ = ["device_name", "not_proven", "sentence"]

_OPEN = (Outcome.SKIPPED, Outcome.PENDING, Outcome.UNDECIDED)
_OUTCOMES = {
    Status.TAMPERED: Outcome.FAILED,
    Status.UNDECIDED: Outcome.UNDECIDED,
    Status.UNTRUSTED: Outcome.UNTRUSTED,
}


def sentence(verdict: Verdict, name: str = "") -> str:
    """The verdict in one sentence; `name` is what people call the board, if somebody knows."""
    what = _what(verdict, name)
    if verdict.status is Status.VERIFIED:
        return f"{what} {_good(verdict)}"
    if verdict.status is Status.PENDING:
        return f"{what} {_good(verdict)}; no ledger confirms it yet"
    check = _first(verdict, _OUTCOMES[verdict.status])
    reason = f"{check.code}: {check.detail}" if check.detail else check.code
    if verdict.status is Status.TAMPERED:
        return f"something was changed: {reason}"
    if verdict.status is Status.UNTRUSTED:
        return f"{what}: signatures and hashes fit, but {reason}"
    return f"could not be decided: {reason}"


def not_proven(verdict: Verdict) -> list[str]:
    """What the file leaves open, in words."""
    unsettled = [check for check in verdict.checks if _is_open(check)]
    lines = [f"{check.code}: {check.detail}" for check in unsettled]
    if verdict.first is None or verdict.status is Status.TAMPERED:
        return lines
    if verdict.not_after is None and not any(c.code.startswith("ledger.") for c in unsettled):
        lines.append("by when the readings existed: no trusted ledger says so")
    if verdict.not_before is None:
        lines.append("that the readings are not older than the board's clock says")
    lines.append("where the sensor was, and that it measured what it should")
    return lines


def device_name(verdict: Verdict, name: str = "") -> str:
    """What people call the board, or its short id."""
    if name:
        return name
    if verdict.device is None:
        return "an unknown board"
    try:
        return f"board {record.device_id(did.public_key(verdict.device)).hex()}"
    except TallystickError:
        return "an unknown board"


def _is_open(check: Check) -> bool:
    """Was it left open? The form is said by the sentence, a missing window by the lines on time."""
    if check.code == "proof.format" or (check.code, check.result) == (
        "time.window",
        Outcome.SKIPPED,
    ):
        return False
    return check.result in _OPEN


def _what(verdict: Verdict, name: str) -> str:
    who = device_name(verdict, name)
    if verdict.first is None or verdict.last is None:
        return f"a record of {who}"
    where = f"seq {span(verdict.first, verdict.last)}"
    if verdict.readings:
        return f"{plural(verdict.readings, 'reading')} of {who} ({where})"
    return f"{'a record' if verdict.first == verdict.last else 'records'} of {who} ({where})"


def _good(verdict: Verdict) -> str:
    signed = verdict.check("record.signature")
    clauses: list[str] = []
    if signed is not None and signed.result is Outcome.OK:
        clauses.append("as the board signed it" if _single(verdict) else "as the board signed them")
    if verdict.not_after is not None:
        clauses.append(f"in existence by {rfc3339(verdict.not_after)}")
    if verdict.not_before is not None:
        clauses.append(f"not made before {rfc3339(verdict.not_before)}")
    verb = "is" if _single(verdict) else "are"
    if not clauses:
        return (
            "passed what the policy requires"
            if verb == "are"
            else "passes what the policy requires"
        )
    return f"{verb} {', '.join(clauses)}{_gaps(verdict)}"


def _single(verdict: Verdict) -> bool:
    return verdict.readings == 1 or (verdict.readings == 0 and verdict.first == verdict.last)


def _gaps(verdict: Verdict) -> str:
    gap = verdict.check("chain.gap")
    return (
        "; the board declares gaps"
        if gap and gap.result is Outcome.OK and gap.detail != "none"
        else ""
    )


def _first(verdict: Verdict, outcome: Outcome) -> Check:
    return next(check for check in verdict.checks if check.result is outcome)
