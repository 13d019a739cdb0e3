"""Step 9, for a ledger that the policy trusts as a bridge: its anchor's transaction on another ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tallystick.verdict import Check
from tallystick.verification.state import Verification

if TYPE_CHECKING:
    from tallystick.settlement import Seen

__all__ = ["look", "transaction"]


def look(v: Verification, seen: Mapping[bytes, Seen]) -> None:
    """What can be said of the transaction. The time of an anchor comes from it, which other steps need."""
    anchor, note = v.proof.anchor, v.proof.anchored_checkpoint
    bridge = v.policy.bridge(anchor.milestone.ledger) if anchor else None
    if anchor is not None and note is not None and bridge is not None:
        from tallystick import settlement

        sent = anchor.transaction
        v.bridged = settlement.judge(anchor, note, bridge, seen.get(sent.hash) if sent else None)


def transaction(v: Verification) -> None:
    """9. **ledger.transaction**: the verdict hangs on it, so that skipped it leaves it undecided."""
    anchor, found = v.proof.anchor, v.bridged
    if found is not None:
        check = Check("ledger.transaction", found.result, found.detail, needed=True)
        v.checks.append(check)
    elif anchor is not None and anchor.transaction is not None:
        v.notes.append("the anchor has a transaction on another ledger; the policy asks for none")
