"""**chain.tail** (docs/format.md, section 12): does the file end where the chain is known to go on?

A shorter chain verifies as well as a long one. Only who knows a later head can tell that the end was cut off: from an
acknowledgement of a gateway, or from another record of the device.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.value import Value
from tallystick.verdict import Outcome
from tallystick.verification.state import Verification

__all__ = ["Head", "tail"]


class Head(Value):
    """A record that the device is known to have signed: its seq and id, and `source`, who says so, in words."""

    seq: int
    id: bytes
    source: str


def tail(v: Verification, heads: Sequence[Head]) -> None:
    """Add the check; one head at least is known."""
    code = "chain.tail"
    held = {one.seq: one.id for one in v.proof.records}
    other = next((one for one in heads if held.get(one.seq, one.id) != one.id), None)
    newest = max(heads, key=lambda one: one.seq)
    last = v.proof.records[-1].seq
    if other is not None:
        detail = f"seq {other.seq} is another record than the one that {other.source} names"
        v.add(code, Outcome.UNTRUSTED, detail)
    elif newest.seq > last:
        missing = f"{last + 1}..{newest.seq}" if newest.seq > last + 1 else f"{newest.seq}"
        v.add(
            code,
            Outcome.UNDECIDED,
            f"the end is missing: {missing} ({newest.seq - last} record(s)), known from {newest.source}",
        )
    else:
        v.add(code, Outcome.OK, f"up to the head that {newest.source} names")
