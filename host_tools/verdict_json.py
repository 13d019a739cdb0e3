"""A verdict as JSON: what `tally verify --json` prints, by docs/verdict.schema.json.

`schema` is 2. A member is never given another meaning and never taken away without a new number; new ones may come.
"""

from __future__ import annotations

from typing import Final

from tallystick.policy import Policy
from tallystick.verdict import Verdict
from tallystick_host import sentence
from tallystick_host.words import rfc3339, runs

__all__ = ["SCHEMA", "facts"]

SCHEMA: Final = 2


def facts(file: str, verdict: Verdict, policy: Policy, name: str = "") -> dict[str, object]:
    """The members in the order of the schema. Times are RFC 3339, by the clock that the member names."""
    from importlib.metadata import version

    claimed = verdict.claimed or (None, None)
    return {
        "schema": SCHEMA,
        "file": file,
        "status": str(verdict.status),
        "exit": verdict.exit_status,
        "sentence": sentence.sentence(verdict, name),
        "device": verdict.device,
        "name": name or None,
        "checks": [
            {"code": one.code, "result": str(one.result), "detail": one.detail}
            for one in verdict.checks
        ],
        "not_before": _moment(verdict.not_before),
        "not_after": _moment(verdict.not_after),
        "claimed_first": _moment(claimed[0]),
        "claimed_last": _moment(claimed[1]),
        "issuer": verdict.issuer,
        "gateway": verdict.gateway,
        "ledger": verdict.ledger,
        "ledger_operator": verdict.operator or None,
        "first": verdict.first,
        "last": verdict.last,
        "readings": verdict.readings,
        "gaps": [
            {
                "first": gap.first,
                "last": gap.last,
                "records": gap.records,
                "reason": gap.reason,
                "event": gap.event,
            }
            for gap in verdict.gaps
        ],
        "bad": [{"first": first, "last": last} for first, last in runs(verdict.bad)],
        "warnings": list(verdict.warnings),
        "notes": list(verdict.notes),
        "not_proven": sentence.not_proven(verdict),
        "hint": sentence.hint(verdict, file) or None,
        "required": list(policy.required),
        "tool_version": version("tallystick"),
    }


def _moment(time: int | None) -> str | None:
    return None if time is None else rfc3339(time)
