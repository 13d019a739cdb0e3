"""What a block from outside must be before it is attached (docs/format.md, sections 8 and 9). Pure.

1. It is no longer than `BLOCK_BYTES` and in form.
2. It is no genesis and no milestone: those are the ledger's own.
3. Every parent is known. A block cannot name itself or a later one: their ids are hashes that hold
   its own.
4. An anchor carries a checkpoint with a signature line of its own origin. If the gateway's key is at
   hand, it must have signed it.
5. A statement is in form, is about a did:key, and names this ledger.

Otherwise the keys of gateways, issuers and owners are not known here: whether a note or a statement is
validly signed is the verifier's to judge. `Subject` says what it claims to be about: a hint for look-ups,
never evidence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tallystick import block, checkpoint, did, limits, statement
from tallystick.block import Block, BlockKind
from tallystick.errors import FormatError, LimitError, TallystickError
from tallystick.keys import SIGNATURE_BYTES
from tallystick_ledger.gateways import Gateways

__all__ = ["RejectedError", "Subject", "admit", "subject_of"]

_GATEWAY_ORIGIN: Final = re.compile(rf"{checkpoint.LOG_PREFIX}([0-9a-f]{{16}})")


class RejectedError(TallystickError):
    """The block is not for this ledger, or not now."""


@dataclass(frozen=True)
class Subject:
    """Whom a block is about: gateway or device id (8 bytes, or None), and SHA-256 of what it carries.

    The digest is over all bytes, signature included: a copy with a broken signature must not stand
    in for the original.
    """

    id: bytes | None
    digest: bytes


def admit(
    raw: bytes, ledger: bytes, known: Callable[[bytes], bool], gateways: Gateways
) -> tuple[Block, Subject]:
    """The block in `raw` if it may be attached to `ledger`.

    Else a `TallystickError`, whose code goes into the receipt.
    """
    # 1
    if len(raw) > limits.BLOCK_BYTES:
        raise LimitError("block.too-long", f"{len(raw)} bytes, the limit is {limits.BLOCK_BYTES}")
    parsed = block.parse(raw)
    # 2: stops an outsider from starting a second history or confirming blocks
    if parsed.kind in (BlockKind.GENESIS, BlockKind.MILESTONE):
        raise RejectedError("block.kind-reserved", "genesis and milestones are the ledger's own")
    # 3
    for parent in parsed.parents:
        if not known(parent):
            raise RejectedError("block.parent-unknown", f"no block {parent.hex()} here")
    # 4, 5
    subject = subject_of(parsed, ledger)
    if parsed.kind is BlockKind.ANCHOR:
        try:
            gateways.check(checkpoint.parse(parsed.carried))
        except TallystickError as error:
            raise RejectedError("anchor.signature", error.detail) from error
    return parsed, subject


def subject_of(parsed: Block, ledger: bytes) -> Subject:
    """Whom an anchor or a statement is about; `TallystickError` if what it carries is not in form."""
    carried = parsed.carried
    return Subject(
        _gateway(carried) if parsed.kind is BlockKind.ANCHOR else _device(carried, ledger),
        sha256(carried).digest(),
    )


def _gateway(raw: bytes) -> bytes | None:
    note = checkpoint.parse(raw)
    signed = (line.name == note.origin for line in note.note.signatures)
    if not any(signed) or any(
        line.name == note.origin and len(line.signature) != SIGNATURE_BYTES
        for line in note.note.signatures
    ):
        raise FormatError("anchor.unsigned", f"no signature line of {note.origin[:64]!r}")
    match = _GATEWAY_ORIGIN.fullmatch(note.origin)
    return bytes.fromhex(match[1]) if match else None


def _device(raw: bytes, ledger: bytes) -> bytes:
    said = statement.parse(raw)
    # stops a statement made for one ledger from taking effect on another
    if said.ledger != ledger:
        raise RejectedError("statement.ledger", f"made for the ledger {said.ledger.hex()}")
    return did.public_key(said.device).kid
