"""A verdict in words: one sentence, and what was not proven.

The sentence never says more than the checks that ran: "since the board signed them" only when the signatures were
checked, "complete" only when the chain was, a time only when a ledger proves one.
"""

from __future__ import annotations

import shlex

from tallystick import did, record
from tallystick.errors import TallystickError
from tallystick.verdict import Check, Outcome, Status, Verdict
from tallystick_host.words import plural, rfc3339, span

__all__ = ["NEVER_PROVEN", "device_name", "hint", "not_proven", "sentence"]

_OPEN = (Outcome.SKIPPED, Outcome.PENDING, Outcome.UNDECIDED)
_OUTCOMES = {
    Status.TAMPERED: Outcome.FAILED,
    Status.UNDECIDED: Outcome.UNDECIDED,
    Status.UNTRUSTED: Outcome.UNTRUSTED,
}
# what no signature can say
NEVER_PROVEN = (
    "where the sensor was, and that it measured what it should",
    "that the board's clock was right before the anchor",
    "that nobody opened the case",
)


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
    return [*lines, *NEVER_PROVEN]


def hint(verdict: Verdict, file: str) -> str:
    """What to do about a check that was skipped and on which the verdict hangs; "" if there is none."""
    check = verdict.check("ledger.transaction")
    if check is None or check.result is not Outcome.SKIPPED:
        return ""
    return f"tally verify --rpc URL {shlex.quote(file)}, with a node of that ledger"


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
    if not verdict.readings:
        return f"{'a record' if verdict.first == verdict.last else 'records'} of {who} ({where})"
    what = f"{plural(verdict.readings, 'reading')} of {who} ({where})"
    if verdict.claimed is None:
        return what
    start, end = map(rfc3339, verdict.claimed)
    return f"{what} {f'at {start}' if start == end else f'between {start} and {end}'}"


def _good(verdict: Verdict) -> str:
    """What was proven: unmodified, complete, and between which moments."""
    clauses = [clause for clause in (_unmodified(verdict), _complete(verdict)) if clause]
    clauses += _window(verdict)
    verb = "is" if _single(verdict) else "are"
    if not clauses:
        return (
            "passed what the policy requires"
            if verb == "are"
            else "passes what the policy requires"
        )
    said = f"{', '.join(clauses[:-1])} and {clauses[-1]}" if len(clauses) > 1 else clauses[0]
    return f"{verb} {said}{_by(verdict)}"


def _unmodified(verdict: Verdict) -> str:
    if not _ok(verdict, "record.signature"):
        return ""
    return f"unmodified since the board signed {'it' if _single(verdict) else 'them'}"


def _complete(verdict: Verdict) -> str:
    """Of more than one record: nothing between them is missing, or the board says what."""
    if verdict.first == verdict.last or not (
        _ok(verdict, "chain.link") and _ok(verdict, "chain.gap")
    ):
        return ""
    if not verdict.gaps:
        return "complete"
    missing = sum(gap.records for gap in verdict.gaps)
    gaps = plural(len(verdict.gaps), "gap")
    return f"complete except for {gaps} ({plural(missing, 'record')}) that the board declares"


def _window(verdict: Verdict) -> list[str]:
    clauses: list[str] = []
    if verdict.not_after is not None:
        clauses.append(f"in existence before {rfc3339(verdict.not_after)}")
    if verdict.not_before is not None:
        clauses.append(f"signed after {rfc3339(verdict.not_before)}")
    return clauses


def _by(verdict: Verdict) -> str:
    """Whose clock that was."""
    if verdict.not_after is None and verdict.not_before is None:
        return ""
    ledger = f" {verdict.ledger}" if verdict.ledger else ""
    operator = f" operated by {verdict.operator}" if verdict.operator else ""
    return f", by the clock of ledger{ledger}{operator}"


def _ok(verdict: Verdict, code: str) -> bool:
    check = verdict.check(code)
    return check is not None and check.result is Outcome.OK


def _single(verdict: Verdict) -> bool:
    return verdict.readings == 1 or (verdict.readings == 0 and verdict.first == verdict.last)


def _first(verdict: Verdict, outcome: Outcome) -> Check:
    return next(check for check in verdict.checks if check.counts_as is outcome)
