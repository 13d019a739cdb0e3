"""What a cheat would do to a proof file, so that the demo can show it being caught."""

from __future__ import annotations

from tallystick import proof, record
from tallystick.body import Readings
from tallystick.errors import TallystickError
from tallystick.keys import SIGNATURE_BYTES
from tallystick.proof import Proof


def rebuilt(parsed: Proof, *, without: int | None = None, flip: bool = False) -> bytes:
    """The proof again, with the record at seq `without` left out, or one bit of a reading flipped.

    The result is a proof file in good form; only its content was tampered with.
    """
    kept = [
        (one.raw, inclusion)
        for one, inclusion in zip(parsed.records, parsed.inclusions, strict=True)
        if one.seq != without
    ]
    records = [raw for raw, _ in kept]
    if flip:
        records[0] = _flipped(records[0])
    anchor = parsed.anchor
    bare = parsed.bare_checkpoint
    return proof.build(
        records=records,
        opens=[one.raw for one in parsed.opens],
        rotations=[one.raw for one in parsed.rotations],
        inclusions=[(inclusion.index, inclusion.path) for _, inclusion in kept],
        checkpoint=bare.raw if bare else None,
        anchor=anchor.encode() if anchor else None,
        credential=parsed.credential.signed.raw if parsed.credential else None,
        links=[one.raw for one in parsed.links],
        before=parsed.before.block.raw if parsed.before else None,
        forks=[(first.raw, second.raw) for first, second in parsed.forks],
    )


def _flipped(raw: bytes) -> bytes:
    """`raw` with the lowest bit of a reading turned over: 21.53 °C becomes 21.52 °C."""
    readings = record.parse(raw).body
    for at in range(len(raw) - SIGNATURE_BYTES - 1, 0, -1):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        try:
            if isinstance(readings, Readings) and record.parse(changed).body != readings:
                return changed
        except TallystickError:
            continue  # that byte was no number's
    raise ValueError("the record holds no reading")
