"""The bridge's rules towards the broker: those of the embedded node (`tallystick_ledger.node`), and these.

1. It takes anchors only, of gateways on its list, signed by them: each costs money. A statement
   belongs into an embedded ledger, whose checkpoints a bridge can post.
2. An anchor is kept, answered `attached`, and put into a milestone when its note's transaction has got as
   far on the other ledger as the operator asks for. Its receipt then carries that transaction.
3. One note is one transaction, in however many anchors it comes. An anchor whose log has meanwhile
   posted a larger checkpoint is rejected with `anchor.superseded` when that one is settled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from tallystick import block, checkpoint, limits
from tallystick.account import State as TransactionState
from tallystick.block import Block, BlockKind, block_id
from tallystick.cose import Signer
from tallystick.errors import FormatError, LimitError, TallystickError
from tallystick.milestone import Milestone
from tallystick.receipt import Receipt, State
from tallystick.settlement import reached
from tallystick_ledger.bridge.folder import GatewayList
from tallystick_ledger.bridge.outbox import LOST, Note, Outbox
from tallystick_ledger.limits import PENDING_BLOCKS
from tallystick_ledger.node import Answer, Node
from tallystick_ledger.store import Store
from tallystick_ledger.writers import Writers

__all__ = ["BridgeNode"]

_ANY: Final = 1e9  # blocks a second


class BridgeNode(Node):
    """A ledger that confirms what has reached `needed` on another one."""

    # an anchor grows old here while its transaction settles
    max_depth = 2**62

    def __init__(
        self,
        store: Store,
        key: Signer,
        clock: Callable[[], int],
        outbox: Outbox,
        allowed: GatewayList,
        needed: TransactionState,
    ) -> None:
        # the list of gateways and the budget are the bridge's limits
        super().__init__(store, key, clock, partial(Writers, rate=_ANY, stranger_rate=_ANY))
        self._outbox = outbox
        self._allowed = allowed
        self._needed = needed

    def submit(self, submitted: Sequence[bytes]) -> list[Answer]:
        """Check and keep anchors, in one transaction; an answer for each in order."""
        with self._outbox.transaction():
            return [self._take(raw) for raw in submitted]

    def _take(self, raw: bytes) -> Answer:
        name = block_id(raw)
        if self.store.has(name) or self._outbox.digest_of(name) is not None:
            return Answer(self.receipt(name))
        try:
            parsed, note = self._admit(raw)
        except TallystickError as error:
            return Answer(Receipt(State.REJECTED, name, error.code))
        self._outbox.add_block(name, note, raw, self._clock())
        return Answer(self.receipt(name), parsed)

    def _admit(self, raw: bytes) -> tuple[Block, Note]:
        """Rule 1; else a `TallystickError`, whose code goes into the receipt."""
        if self._outbox.waiting_blocks() >= PENDING_BLOCKS:
            raise LimitError("ledger.full", "too many anchors wait for their transaction")
        if len(raw) > limits.BLOCK_BYTES:
            raise LimitError("block.too-long", f"{len(raw)} bytes")
        parsed = block.parse(raw)
        if parsed.kind is BlockKind.STATEMENT:
            raise FormatError("statement.bridge", "a statement belongs into an embedded ledger")
        if parsed.kind is not BlockKind.ANCHOR:
            raise FormatError("block.kind-reserved", "genesis and milestones are the bridge's own")
        if not all(self.store.has(parent) for parent in parsed.parents):
            raise FormatError("block.parent-unknown", "a parent is not here")
        note = checkpoint.parse(parsed.carried)
        key = self._allowed.key(note.origin)
        # stops strangers from spending our coins
        if key is None:
            raise FormatError("anchor.not-allowed", f"{note.origin[:64]!r} is not on the list")
        try:
            note.verify(key)
        except TallystickError as error:
            raise FormatError("anchor.signature", error.detail) from error
        return parsed, Note.of(note)

    def receipt(self, name: bytes) -> Receipt:
        """The newest receipt of an anchor that is here; confirmed, it carries the transaction."""
        digest = self._outbox.digest_of(name)
        answer = super().receipt(name)
        if digest is None:
            return answer
        if answer.confirmed is None:
            return self._waiting(name, digest)
        sent = self._outbox.reference(digest)
        return answer.replace(confirmed=answer.confirmed.replace(transaction=sent))

    def _waiting(self, name: bytes, digest: bytes) -> Receipt:
        """Attached, with a word for people on where it stands; or rejected by rule 3."""
        instead = self._outbox.covered(digest)
        sent = self._outbox.transaction_of(instead or digest)
        known = sent is not None and sent.state != LOST
        state = TransactionState(sent.state) if sent is not None and known else None
        if instead is not None and state is not None and reached(state, self._needed):
            return Receipt(State.REJECTED, name, "anchor.superseded")
        if sent is None or state is None:
            return Receipt(State.ATTACHED, name, "waits for its turn")
        return Receipt(State.ATTACHED, name, f"{state}: 0x{sent.hash.hex()}")

    def tick(self, *, new_round: bool = True) -> list[Milestone]:
        """Take in what has settled, and confirm it with the next milestone (rule 2)."""
        settled = self._outbox.settled_blocks(self._needed)
        super().submit([raw for _, raw in settled])
        made = super().tick(new_round=new_round)
        done = [name for name, _ in settled if self.store.confirmed(name) is not None]
        if done:
            with self._outbox.transaction():
                for name in done:
                    self._outbox.confirm_block(name)
        return made
