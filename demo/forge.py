"""What a cheat would do to a proof file, so that the demo can show it being caught."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick import merkle, proof, record
from tallystick.body import Readings
from tallystick.errors import TallystickError
from tallystick.keys import SIGNATURE_BYTES
from tallystick.proof import Proof


def rebuilt(parsed: Proof, *, without: int | None = None, flip: bool = False) -> bytes:
    """The proof again, with the record at seq `without` left out, or one bit of a reading flipped.

    The result is a proof file in good form; only its content was tampered with.
    """
    kept = [at for at, one in enumerate(parsed.records) if one.seq != without]
    records = [parsed.records[at].raw for at in kept]
    if flip:
        records[0] = _flipped(records[0])
    anchor = parsed.anchor
    bare = parsed.bare_checkpoint
    return proof.build(
        records=records,
        opens=[one.raw for one in parsed.opens],
        rotations=[one.raw for one in parsed.rotations],
        inclusions=[(parsed.inclusions[at].index, parsed.inclusions[at].path) for at in kept]
        if parsed.inclusions
        else [],
        shared=_shared(parsed, kept),
        checkpoint=bare.raw if bare else None,
        anchor=anchor.encode() if anchor else None,
        credential=parsed.credential.signed.raw if parsed.credential else None,
        links=[one.raw for one in parsed.links],
        before=parsed.before.block.raw if parsed.before else None,
        forks=[(first.raw, second.raw) for first, second in parsed.forks],
    )


def _shared(parsed: Proof, kept: Sequence[int]) -> tuple[list[int], list[bytes]] | None:
    """The shared inclusion of the records that are kept: what is left out becomes a hash like its neighbours."""
    shared, checkpoint = parsed.shared, parsed.checkpoint
    if shared is None or checkpoint is None:
        return None
    held = dict(zip(shared.indices, parsed.records, strict=True))
    stay = [shared.indices[at] for at in kept]
    given = iter(shared.hashes)

    def walk(start: int, end: int) -> tuple[bytes, list[bytes]]:
        """The root over the leaves start..end-1, and the hashes that are needed there."""
        if not any(start <= index < end for index in held):
            root = next(given)
        elif end - start == 1:
            root = merkle.leaf_hash(held[start].raw)
        else:
            middle = start + merkle.split(end - start)
            (left, before), (right, after) = walk(start, middle), walk(middle, end)
            root = merkle.node_hash(left, right)
            if any(start <= index < end for index in stay):
                return root, before + after
        return root, [] if start in stay and end - start == 1 else [root]

    return stay, walk(0, checkpoint.size)[1]


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
