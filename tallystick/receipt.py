"""The ledger's answer to a block: rejected, attached or confirmed (docs/format.md, section 8).

[state, block id, detail, confirmed / null]. It is not signed: a confirmed block proves itself, and
the two other states are news, not evidence.
"""

from __future__ import annotations

from enum import IntEnum

from tallystick import cbor, limits
from tallystick.errors import FormatError
from tallystick.fields import octets, uint
from tallystick.milestone import Confirmed, confirmed_from
from tallystick.value import Value

__all__ = ["Receipt", "State", "parse"]

_DETAIL_CHARACTERS = 512


class State(IntEnum):
    """What became of a block."""

    REJECTED = 0
    ATTACHED = 1
    CONFIRMED = 2


class Receipt(Value):
    """`detail` is for people (a code for a rejected block); `confirmed` is there in that state
    only.
    """

    state: State
    block: bytes
    detail: str = ""
    confirmed: Confirmed | None = None

    def encode(self) -> bytes:
        """The bytes as they travel."""
        proof = None if self.confirmed is None else self.confirmed.value()
        return cbor.encode([self.state.value, self.block, self.detail, proof])


def parse(raw: bytes) -> Receipt:
    """`raw` as a receipt; `FormatError` or `LimitError` (`receipt.*`) otherwise. Nothing is
    verified.
    """
    value = cbor.decode(raw, limit=limits.RECEIPT_BYTES)
    if not isinstance(value, list) or len(value) != 4:
        raise FormatError("receipt.shape", "a receipt is [state, block id, detail, confirmed]")
    state = State(uint(value[0], "state", max(State)))
    block = octets(value[1], "block id", 32)
    detail, proof = value[2], value[3]
    # printable: a receipt is not signed, and people read this on a screen
    if not isinstance(detail, str) or len(detail) > _DETAIL_CHARACTERS or not detail.isprintable():
        raise FormatError("receipt.shape", "the detail is not a short text")
    if (state is State.CONFIRMED) != (proof is not None):
        raise FormatError("receipt.shape", "a confirmed block comes with its proof, no other does")
    if proof is None:
        return Receipt(state, block, detail)
    confirmed = confirmed_from(proof)
    # stops a receipt for one block from being shown for another
    if confirmed.block.id != block:
        raise FormatError("receipt.block", "the proof is that of another block")
    return Receipt(state, block, detail, confirmed)
