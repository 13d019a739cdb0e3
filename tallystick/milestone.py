"""A milestone: the ledger's signed word which blocks are confirmed, and when (docs/format.md,
section 8).

A block of kind 1 whose body is [ledger id, index, previous milestone, first, size, root]; it confirms
the positions first..size-1, and (size, root) is
the RFC 9162 tree over the ids of all blocks confirmed so far. `Confirmed` is a block with its way
into that tree: all that a verifier needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallystick import block, cbor, cose, limits, merkle
from tallystick.block import Block, BlockKind
from tallystick.cose import Signer, Typ
from tallystick.errors import FormatError, PathError
from tallystick.fields import octets, uint
from tallystick.keys import PublicKey
from tallystick.value import Value

if TYPE_CHECKING:
    from tallystick.transaction import Transaction

__all__ = ["Confirmed", "Milestone", "made", "parse", "parse_confirmed", "sign"]


class Milestone(Value):
    """A milestone as it came. It confirms the positions `first`..`size`-1; `time` is Unix seconds by
    the ledger's clock.
    """

    block: Block
    ledger: bytes
    index: int
    previous: bytes
    first: int
    size: int
    root: bytes

    @property
    def id(self) -> bytes:
        """The block's id."""
        return self.block.id

    @property
    def time(self) -> int:
        """Unix seconds."""
        return self.block.time

    def verify(self, key: PublicKey) -> None:
        """Return if the ledger with `key` signed this, else raise `SignatureError`."""
        self.block.signed.verify(key)


class Confirmed(Value):
    """A block, its position among all confirmed blocks, the path from there, and the milestone.

    `transaction` is there if a bridge has put the anchor on another ledger.
    """

    block: Block
    position: int
    path: tuple[bytes, ...]
    milestone: Milestone
    transaction: Transaction | None = None

    def verify_inclusion(self) -> None:
        """Return if this milestone confirmed the block at this position; `PathError` otherwise."""
        # stops a later milestone, with a later time, from standing in for the one that confirmed it
        if self.position < self.milestone.first:
            raise PathError("milestone.position", "another milestone confirmed this position")
        merkle.verify_inclusion(
            merkle.leaf_hash(self.block.id),
            self.position,
            self.milestone.size,
            self.path,
            self.milestone.root,
        )

    def encode(self) -> bytes:
        """[block, position, path, milestone], and the transaction if there is one."""
        return cbor.encode(self.value())

    def value(self) -> list[object]:
        """What `encode` encodes."""
        value = [self.block.raw, self.position, list(self.path), self.milestone.block.raw]
        return value if self.transaction is None else [*value, self.transaction.value()]


def parse(raw: bytes) -> Milestone:
    """`raw` as a milestone block; `FormatError` (`milestone.*`, `block.*`) otherwise."""
    return from_block(block.parse(raw))


def from_block(parsed: Block) -> Milestone:
    """The milestone in a block of kind 1."""
    if parsed.kind is not BlockKind.MILESTONE or not isinstance(parsed.body, list):
        raise FormatError("milestone.kind", "not a milestone block")
    ledger, index, previous, first, size, root = parsed.body
    milestone = Milestone(
        parsed,
        octets(ledger, "ledger id", 8),
        uint(index, "index", limits.TREE_SIZE, at_least=1),
        octets(previous, "previous milestone", 32),
        uint(first, "first position", limits.TREE_SIZE),
        uint(size, "size", limits.TREE_SIZE, at_least=1),
        octets(root, "root", 32),
    )
    if milestone.first >= milestone.size:
        raise FormatError("milestone.position", "a milestone confirms at least one block")
    if parsed.parents[0] != milestone.previous:
        raise FormatError("milestone.parents", "the first parent is not the previous milestone")
    return milestone


def sign(
    ledger_key: Signer,
    ledger: bytes,
    index: int,
    parents: Sequence[bytes],
    time: int,
    first: int,
    size: int,
    root: bytes,
) -> bytes:
    """The bytes of a milestone that confirms the positions `first`..`size`-1; `parents[0]` is the
    previous one (genesis for index 1).
    """
    body = [ledger, index, parents[0], first, size, root]
    return block.sign(ledger_key, parents, time, BlockKind.MILESTONE, body)


def made(
    ledger_key: Signer,
    ledger: bytes,
    index: int,
    parents: Sequence[bytes],
    time: int,
    first: int,
    size: int,
    root: bytes,
) -> Milestone:
    """What `parse` makes of what `sign` gives for the same, without the detour over the payload."""
    raw = sign(ledger_key, ledger, index, parents, time, first, size, root)
    signed = cose.parse(raw, Typ.BLOCK, limit=limits.BLOCK_BYTES)
    body: list[cbor.Value] = [ledger, index, parents[0], first, size, root]
    one = Block(signed, tuple(parents), time, BlockKind.MILESTONE, body)
    return Milestone(one, ledger, index, parents[0], first, size, root)


def parse_confirmed(raw: bytes) -> Confirmed:
    """`raw` as `confirmed`; `FormatError` or `LimitError` otherwise. Nothing is verified."""
    return confirmed_from(cbor.decode(raw, limit=limits.RECEIPT_BYTES))


def confirmed_from(value: cbor.Value) -> Confirmed:
    """The decoded CBOR [block, position, path, milestone, ? transaction] as `Confirmed`."""
    if not isinstance(value, list) or len(value) not in (4, 5):
        raise FormatError("confirmed.shape", "not [block, position, path, milestone]")
    raw, position, path, milestone, *rest = value
    if not isinstance(raw, bytes) or not isinstance(milestone, bytes):
        raise FormatError("confirmed.shape", "block and milestone are byte strings")
    return Confirmed(
        block.parse(raw),
        uint(position, "position", limits.TREE_SIZE),
        hashes(path, "path"),
        parse(milestone),
        _transaction(rest[0]) if rest else None,
    )


def _transaction(value: cbor.Value) -> Transaction:
    from tallystick import transaction

    return transaction.from_value(value)


def hashes(value: cbor.Value, what: str, most: int = 63) -> tuple[bytes, ...]:
    """An array of at most `most` hashes."""
    if not isinstance(value, list) or len(value) > most:
        raise FormatError("field.range", f"{what} is not an array of at most {most} hashes")
    return tuple(octets(item, what, 32) for item in value)
