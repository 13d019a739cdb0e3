"""What a verification ends with: checks by code, one status, and what it means (docs/format.md,
section 12).

The status is the worst of the checks: failed, undecided, untrusted, pending, ok. A check that was
skipped is listed as skipped and changes nothing, unless the verdict hangs on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from tallystick.value import Value

__all__ = ["EXIT_STATUS", "Check", "Gap", "Outcome", "Status", "Verdict", "worst"]


class Outcome(StrEnum):
    """How one check ended."""

    OK = "ok"
    FAILED = "failed"
    UNDECIDED = "undecided"
    UNTRUSTED = "untrusted"
    PENDING = "pending"
    SKIPPED = "skipped"


class Status(StrEnum):
    """The verdict in one word."""

    VERIFIED = "VERIFIED"
    TAMPERED = "TAMPERED"
    PENDING = "PENDING"
    UNTRUSTED = "UNTRUSTED"
    UNDECIDED = "UNDECIDED"


EXIT_STATUS: Final = {
    Status.VERIFIED: 0,
    Status.TAMPERED: 1,
    Status.PENDING: 3,
    Status.UNTRUSTED: 4,
    Status.UNDECIDED: 5,
}

# from the worst to the best
_ORDER: Final = (
    (Outcome.FAILED, Status.TAMPERED),
    (Outcome.UNDECIDED, Status.UNDECIDED),
    (Outcome.UNTRUSTED, Status.UNTRUSTED),
    (Outcome.PENDING, Status.PENDING),
)


class Check(Value):
    """One check: a stable code, how it ended, and why, in words.

    `needed`: without it there is no verdict, so that skipped it counts as undecided.
    """

    code: str
    result: Outcome
    detail: str = ""
    needed: bool = False

    @property
    def counts_as(self) -> Outcome:
        """What the verdict makes of it."""
        open_still = self.needed and self.result is Outcome.SKIPPED
        return Outcome.UNDECIDED if open_still else self.result


class Gap(Value):
    """Seqs `first`..`last` that are not in the file, between records that are. `reason` is the board's own word,
    "dropped" or "pruned", and `event` the seq of the record that says so; None where the board says nothing.
    """

    first: int
    last: int
    reason: str | None = None
    event: int | None = None

    @property
    def records(self) -> int:
        """How many records are missing."""
        return self.last - self.first + 1


class Verdict(Value):
    """All checks of one proof, and what they establish.

    `not_before`, `not_after`: Unix seconds by the ledger's clock, None where nothing proves one.
    `bad`: seqs of the records that a check found wrong, each of them, ascending.
    `device` is the DID that the credential names. `first`, `last`: seqs of the proven records.
    `readings`: how many readings they hold; `claimed`: when, by the board's own clock, the first and the last was
    taken. `gaps`: what is missing between them. `operator`: who runs the ledger, by the policy. `warnings` ask for a
    person's attention, `notes` do not; neither changes the status. All but `status` and `checks` is None or empty when
    the file could not be read.
    """

    checks: tuple[Check, ...]
    device: str | None = None
    issuer: str | None = None
    first: int | None = None
    last: int | None = None
    readings: int = 0
    not_before: int | None = None
    not_after: int | None = None
    gateway: str | None = None
    ledger: str | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    claimed: tuple[int, int] | None = None
    operator: str = ""
    bad: tuple[int, ...] = ()

    @property
    def status(self) -> Status:
        """The worst of the checks."""
        results = {check.counts_as for check in self.checks}
        return next((status for outcome, status in _ORDER if outcome in results), Status.VERIFIED)

    @property
    def exit_status(self) -> int:
        """0 VERIFIED, 1 TAMPERED, 3 PENDING, 4 UNTRUSTED, 5 UNDECIDED."""
        return EXIT_STATUS[self.status]

    def check(self, code: str) -> Check | None:
        """The check with this code."""
        return next((check for check in self.checks if check.code == code), None)


def worst(statuses: Iterable[Status]) -> Status:
    """The verdict over many files: TAMPERED > UNDECIDED > UNTRUSTED > PENDING > VERIFIED."""
    present = set(statuses)
    return next((status for _, status in _ORDER if status in present), Status.VERIFIED)
