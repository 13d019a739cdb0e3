"""What a block from outside must be before it is attached (docs/format.md, sections 8 and 9). Pure.

1. It is no longer than `BLOCK_BYTES` and in form.
2. It is no genesis and no milestone: those are the ledger's own.
3. Every parent is known, and was confirmed at most `max_depth` rounds ago. A block cannot name itself or a
   later one: their ids are hashes that hold its own.
4. An anchor carries a checkpoint with a signature line of its own origin. If the gateway's key is at
   hand, it must have signed the block or the checkpoint.
5. A statement is in form, is about a did:key, and names this ledger.
6. Its writer may write, and has not done so too often (`writers`).

Otherwise the keys of gateways, issuers and owners are not known here: whether a note or a statement is
validly signed is the verifier's to judge. `Subject` says what it claims to be about: a hint for look-ups,
never evidence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Protocol

from tallystick import block, checkpoint, did, limits, statement
from tallystick.block import Block, BlockKind
from tallystick.errors import FormatError, LimitError, TallystickError
from tallystick.keys import SIGNATURE_BYTES
from tallystick_ledger.dag import Pending, Roots
from tallystick_ledger.errors import RejectedError
from tallystick_ledger.gateways import Gateways
from tallystick_ledger.writers import Writers

__all__ = ["Admitted", "Past", "Subject", "admit", "roots_of", "subject_of"]

_GATEWAY_ORIGIN: Final = re.compile(rf"{checkpoint.LOG_PREFIX}([0-9a-f]{{16}})")


class Past(Protocol):
    """What the ledger holds already."""

    round: int
    pending: Pending
    max_depth: int

    def roots(self, block_id: bytes) -> Roots | None:
        """The roots of a block that is here: of a confirmed one itself."""

    def said(self, digest: bytes) -> bool:
        """Is a statement with this digest here?"""


@dataclass(frozen=True)
class Subject:
    """Whom a block is about: the id of a gateway or device (8 bytes, or None), and of a statement SHA-256 of
    all its bytes, signature included: a copy with a broken signature must not stand in for the original.
    """

    id: bytes | None = None
    digest: bytes | None = None
    note: checkpoint.Checkpoint | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Admitted:
    """A block that may be attached. `verified`: its gateway's key is known and vouches for the anchor."""

    block: Block
    subject: Subject
    roots: Roots
    verified: bool


def admit(
    raw: bytes, ledger: bytes, past: Past, gateways: Gateways, writers: Writers, now: float
) -> Admitted:
    """The block in `raw` if it may be attached to `ledger` at `now`.

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
    roots = roots_of(parsed, past)
    # 4, 5
    subject = subject_of(parsed, ledger)
    # 6
    fresh = subject.digest is not None and not past.said(subject.digest)
    writer = writers.who(parsed, fresh=fresh)
    verified = False
    if subject.note is not None and subject.id is not None:
        verified = writer == subject.id or _signed(gateways, subject.id, subject.note)
    writers.spend(writer, now)
    return Admitted(parsed, subject, roots, verified)


def roots_of(parsed: Block, past: Past) -> Roots:
    """On what the block rests; `RejectedError` if a parent is not here or too deep."""
    youngest, oldest = 0, past.round
    for parent in parsed.parents:
        roots = past.roots(parent)
        if roots is None:
            raise RejectedError("block.parent-unknown", f"no block {parent.hex()} here")
        # stops a chain that was built aside for long, on old blocks, from being hung in (a parasite)
        if past.round - roots.oldest > past.max_depth and parent not in past.pending:
            raise RejectedError("block.parent-deep", f"block {parent.hex()} is too old to build on")
        youngest, oldest = max(youngest, roots.youngest), min(oldest, roots.oldest)
    return Roots(youngest, oldest)


def subject_of(parsed: Block, ledger: bytes) -> Subject:
    """Whom an anchor or a statement is about; `TallystickError` if what it carries is not in form."""
    carried = parsed.carried
    if parsed.kind is BlockKind.STATEMENT:
        return Subject(_device(carried, ledger), sha256(carried).digest())
    note = checkpoint.parse(carried)
    own = [line for line in note.note.signatures if line.name == note.origin]
    if not own or any(len(line.signature) != SIGNATURE_BYTES for line in own):
        raise FormatError("anchor.unsigned", f"no signature line of {note.origin[:64]!r}")
    match = _GATEWAY_ORIGIN.fullmatch(note.origin)
    return Subject(bytes.fromhex(match[1]) if match else None, None, note)


def _signed(gateways: Gateways, gateway: bytes, note: checkpoint.Checkpoint) -> bool:
    try:
        return gateways.check(gateway, note)
    except TallystickError as error:
        raise RejectedError("anchor.signature", error.detail) from error


def _device(raw: bytes, ledger: bytes) -> bytes:
    said = statement.parse(raw)
    # stops a statement made for one ledger from taking effect on another
    if said.ledger != ledger:
        raise RejectedError("statement.ledger", f"made for the ledger {said.ledger.hex()}")
    return did.public_key(said.device).kid
