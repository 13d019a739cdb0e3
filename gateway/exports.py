"""What other people's tools can use and only the gateway can sign: COSE receipts (RFC 9942) and SCITT statements (RFC
9943) about records in its log.

A receipt is signed for a checkpoint only that this gateway has signed and stored before: no receipt speaks of a tree
that the log does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tallystick import checkpoint, cose_receipt, record, scitt
from tallystick.errors import TallystickError
from tallystick_gateway.enrolment import EnrolledDevice
from tallystick_gateway.folder import Identity
from tallystick_gateway.proofs import ProofError
from tallystick_gateway.store import Store
from tallystick_gateway.tiles import Tiles

__all__ = ["Found", "find", "receipt", "statement"]


@dataclass(frozen=True)
class Found:
    """A record of a device, and its leaf in the log."""

    device: bytes
    leaf: int
    raw: bytes


def find(store: Store, device: bytes, seq: int) -> Found:
    """The record `seq` of `device`; `ProofError` if it is not here."""
    rows = store.rows(device, seq, seq, 1)
    if not rows:
        raise ProofError(
            f"device {device.hex()} has no record {seq} here", hint="tally-gateway proof asks alike"
        )
    return Found(device, rows[0][1], rows[0][2])


def receipt(store: Store, tiles: Tiles, own: Identity, found: Found) -> bytes:
    """The receipt under the newest checkpoint; `ProofError` if there is none that covers the record."""
    newest = store.newest_checkpoint(own.origin)
    if newest is None or newest.size <= found.leaf:
        raise ProofError(
            "no checkpoint covers this record yet",
            hint="wait for the next one; if there is none, look at the gateway's state",
        )
    signed = checkpoint.parse(newest.note)
    # stops a database that somebody wrote to from having another tree signed
    signed.verify(own.verifier)
    path = tiles.inclusion(found.leaf, signed.size)
    made = cose_receipt.sign(
        own.key, own.origin, found.leaf, signed.size, path, signed.root, entry=found.raw
    )
    cose_receipt.verify(made, own.key.public, found.raw)
    return made


def statement(devices: Mapping[bytes, EnrolledDevice], own: Identity, found: Found) -> bytes:
    """The statement that this gateway admitted the record; `ProofError` if the device is not enrolled."""
    enrolled = devices.get(found.device)
    if enrolled is None:
        raise ProofError(
            f"device {found.device.hex()} is not enrolled here",
            hint="a statement names the device by its DID, which the enrolment holds",
        )
    try:
        return scitt.sign(own.key, enrolled.key, record.parse(found.raw))
    except TallystickError as error:
        raise ProofError(error.detail, hint=error.hint) from error
