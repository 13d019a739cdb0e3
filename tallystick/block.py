"""A block of the ledger's DAG (docs/format.md, section 8).

A COSE_Sign1, typ 65006, over [parents, time, kind, body]. Its id is SHA-256 of its bytes, so that
a proof needs no more than the block itself and a path. Whose signature a block bears matters for
genesis and milestones only: an anchor's note and a statement are signed on their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from hashlib import sha256
from typing import Final

from tallystick import cbor, cose, limits
from tallystick.cose import Signed, Signer, Typ
from tallystick.errors import FormatError
from tallystick.fields import is_int, octets, text, uint
from tallystick.value import Value, computed

__all__ = ["Block", "BlockKind", "block_id", "ledger_id", "parse", "sign", "sign_genesis"]


class BlockKind(IntEnum):
    """What a block carries."""

    GENESIS = 0
    MILESTONE = 1
    ANCHOR = 2
    STATEMENT = 3


_KINDS: Final = {one.value: one for one in BlockKind}


class Block(Value):
    """A block as it came. `body` is bytes for an anchor (note), a statement and genesis (name), a
    list for a milestone.
    """

    signed: Signed
    parents: tuple[bytes, ...]
    time: int
    kind: BlockKind
    body: cbor.Value

    @property
    def raw(self) -> bytes:
        """The exact bytes."""
        return self.signed.raw

    @computed
    def id(self) -> bytes:
        """SHA-256 of the bytes."""
        return block_id(self.raw)

    @property
    def carried(self) -> bytes:
        """The note of an anchor or the bytes of a statement."""
        if not isinstance(self.body, bytes):
            raise FormatError("block.body", f"a {self.kind.name.lower()} carries no object")
        return self.body


def block_id(raw: bytes) -> bytes:
    """The id of the block with these bytes (32 bytes)."""
    return sha256(raw).digest()


def ledger_id(genesis: bytes) -> bytes:
    """The id of the ledger that starts with this genesis block (8 bytes)."""
    return block_id(genesis)[:8]


def parse(raw: bytes) -> Block:
    """`raw` as a block; `FormatError` or `LimitError` (`block.*`) otherwise. No signature is
    checked.
    """
    signed = cose.parse(raw, Typ.BLOCK, limit=limits.BLOCK_BYTES)
    fields = cbor.decode_lists(signed.payload, 2) or cbor.decode(signed.payload)
    if not isinstance(fields, list) or len(fields) != 4:
        raise FormatError("block.shape", "a block is [parents, time, kind, body]")
    named, time, number, body = fields
    kind = _KINDS.get(number) if is_int(number) else None
    if kind is None:
        raise FormatError("block.kind", f"block kind {number!r} is not known")
    if not isinstance(named, list) or len(named) > limits.PARENTS:
        raise FormatError("block.parents", "a block has at most 4 parents")
    parents = tuple(octets(parent, "parent", 32) for parent in named)
    if len(set(parents)) != len(parents) or (kind is BlockKind.GENESIS) != (not parents):
        raise FormatError("block.parents", "1 to 4 different parents, none for genesis")
    if kind is BlockKind.GENESIS:
        text(body, "ledger name", limits.LEDGER_NAME_BYTES)
    elif kind is BlockKind.MILESTONE:
        if not isinstance(body, list) or len(body) != 6:
            raise FormatError("block.body", "a milestone has six fields")
    elif not isinstance(body, bytes):
        raise FormatError("block.body", f"{kind.name.lower()}: the body is not a byte string")
    return Block(signed, parents, uint(time, "time", limits.TIME), kind, body)


def sign(
    signer: Signer, parents: Sequence[bytes], time: int, kind: BlockKind, body: object
) -> bytes:
    """The bytes of a block."""
    return cose.sign(signer, Typ.BLOCK, cbor.encode([list(parents), time, kind.value, body]))


def sign_genesis(ledger: Signer, time: int, name: str) -> bytes:
    """The first block of a ledger; its id names the ledger."""
    return sign(ledger, (), time, BlockKind.GENESIS, name.encode())
