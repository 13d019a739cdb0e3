"""What the steps of a verification share: the file, the policy, the checks so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallystick.body import Open, Readings
from tallystick.chain import Chain, KeyPeriod
from tallystick.keys import PublicKey
from tallystick.policy import OPTIONAL, REQUIRABLE, Policy
from tallystick.proof import Proof
from tallystick.verdict import Check, Gap, Outcome, Verdict

if TYPE_CHECKING:
    from tallystick.jcs import Object
    from tallystick.settlement import Finding

__all__ = ["Verification", "some"]


class Verification:
    """One proof under one policy, and what its steps have found so far."""

    def __init__(
        self, parsed: Proof, policy: Policy, lists: Sequence[Object] = (), now: int | None = None
    ) -> None:
        self.proof = parsed
        self.policy = policy
        self.lists = lists
        self.now = now
        self.warnings: list[str] = []
        self.gaps: tuple[Gap, ...] = ()
        self.checks: list[Check] = [Check("proof.format", Outcome.OK)]
        self.notes: list[str] = []
        self.not_before: int | None = None
        self.forked: list[str] = []  # forks among links and records
        self.periods: list[KeyPeriod] = []
        self.keys: dict[bytes, PublicKey] = {}
        self.good: set[bytes] = set()  # bytes of the records whose signature verified
        self.bad: set[int] = set()  # seqs of the records that a check found wrong
        self.bridged: Finding | None = (
            None  # on another ledger, if the policy wants the anchor there
        )

    def add(self, code: str, result: Outcome, detail: str = "") -> None:
        """Add a check. One that the policy does not require counts only if it ran and failed; one of `OPTIONAL` that
        it requires may not be skipped.
        """
        if code in REQUIRABLE and code not in self.policy.required:
            if result not in (Outcome.OK, Outcome.FAILED):
                result, detail = Outcome.SKIPPED, f"not required: {detail}"
        elif result is Outcome.SKIPPED and code in OPTIONAL and code in self.policy.required:
            result, detail = Outcome.UNDECIDED, f"required: {detail}"
        self.checks.append(Check(code, result, detail))

    def in_force(self, seq: int) -> PublicKey:
        """The device's key that is in force at `seq`."""
        return Chain(self.periods[0].key, periods=self.periods).key_at(seq)

    def anchored(self) -> bool:
        """Is every record tied to the milestone of a trusted ledger, and to the other ledger of a bridge?"""
        if self.bridged is not None and self.bridged.result is not Outcome.OK:
            return False
        codes = ("log.inclusion", "ledger.inclusion", "ledger.milestone")
        return all(self.outcome(code) is Outcome.OK for code in codes)

    @property
    def anchor_time(self) -> int | None:
        """When the anchor was confirmed, Unix seconds: by the ledger's milestone; behind a bridge by the other
        ledger's block, and by the bridge's own word as long as nobody has looked that block up.
        """
        if self.proof.anchor is None:
            return None
        if self.bridged is not None and self.bridged.time is not None:
            return self.bridged.time
        return self.proof.anchor.milestone.time

    def outcome(self, code: str) -> Outcome | None:
        """How the check `code` ended; None if it did not run."""
        return next((check.result for check in self.checks if check.code == code), None)

    def verdict(self) -> Verdict:
        """All checks so far, and what they establish."""
        p = self.proof
        anchor = p.anchor
        return Verdict(
            checks=tuple(self.checks),
            device=p.credential.subject if p.credential else None,
            issuer=p.credential.issuer if p.credential else None,
            first=p.records[0].seq,
            last=p.records[-1].seq,
            readings=sum(r.body.count for r in p.records if isinstance(r.body, Readings)),
            not_before=self.not_before,
            not_after=self.anchor_time if self.anchored() else None,
            gateway=p.checkpoint.origin if p.checkpoint else None,
            ledger=anchor.milestone.ledger.hex() if anchor else None,
            notes=tuple(self.notes),
            warnings=tuple(self.warnings),
            gaps=self.gaps,
            claimed=self._claimed(),
            operator=self._operator(),
            bad=tuple(sorted(self.bad)),
        )

    def _claimed(self) -> tuple[int, int] | None:
        """When the board says that it took the first and the last reading, where its signatures are good."""
        readings = [r for r in self.proof.records if isinstance(r.body, Readings)]
        if not readings or self.outcome("record.signature") is not Outcome.OK:
            return None
        last = readings[-1]
        body = last.body
        held = (*self.proof.opens, *self.proof.links, *self.proof.records)
        opened = next((r.body for r in held if r.seq == getattr(body, "boot", None)), None)
        end = float(last.time)
        if isinstance(body, Readings) and isinstance(opened, Open):
            end = body.times(last.time, opened.tick_ms)[-1]
        return readings[0].time, int(end)

    def _operator(self) -> str:
        """Who runs the ledger of the anchor, as the policy says."""
        anchor = self.proof.anchor
        ledger = self.policy.ledger(anchor.milestone.ledger) if anchor else None
        return ledger.operator if ledger else ""


def some(reasons: Sequence[str]) -> str:
    """The first three reasons and how many more there are."""
    more = f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else ""
    return "; ".join(reasons[:3]) + more
