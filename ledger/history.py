"""The ledger's blocks as they are asked for and told over MQTT (docs/format.md, section 13). Pure.

* `ask`: CBOR `[from: uint, reply: bstr .size 8]`, on a topic of the ledger.
* `history`: CBOR `[from: uint, [* block: bstr], code: tstr]`, on a topic that the reply names: confirmed blocks
  in the order of their positions. An empty list is the end; the code says why if there would be more.

What is told proves itself: a milestone's signature covers the ids of all blocks before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tallystick import cbor, limits
from tallystick.errors import FormatError
from tallystick.fields import octets, uint
from tallystick_ledger.limits import HISTORY_BLOCKS, HISTORY_BYTES

__all__ = ["Answer", "Question", "parse_answer", "parse_question"]

REPLY_BYTES: Final = 8


class Question(NamedTuple):
    """Blocks from position `start` on, to be told on the topic of `reply`."""

    start: int
    reply: bytes

    def encode(self) -> bytes:
        """The bytes as they travel."""
        return cbor.encode([self.start, self.reply])


class Answer(NamedTuple):
    """`code` is `history.pruned` if blocks from `start` on were here once."""

    start: int
    blocks: Sequence[bytes]
    code: str = ""

    def encode(self) -> bytes:
        """The bytes as they travel."""
        return cbor.encode([self.start, list(self.blocks), self.code])


def parse_question(raw: bytes) -> Question:
    """`raw` as a question; `FormatError` (`history.shape`) or `LimitError` otherwise."""
    value = cbor.decode(raw, limit=64)
    if not isinstance(value, list) or len(value) != 2:
        raise FormatError("history.shape", "a question is [from, reply]")
    return Question(
        uint(value[0], "from", limits.TREE_SIZE), octets(value[1], "reply", REPLY_BYTES)
    )


def parse_answer(raw: bytes) -> Answer:
    """`raw` as an answer; `FormatError` (`history.shape`) or `LimitError` otherwise. Nothing is verified."""
    value = cbor.decode(raw, limit=HISTORY_BYTES + limits.BLOCK_BYTES + 4_096)
    if not isinstance(value, list) or len(value) != 3:
        raise FormatError("history.shape", "an answer is [from, blocks, code]")
    start, blocks, code = value
    if not isinstance(blocks, list) or len(blocks) > HISTORY_BLOCKS or not isinstance(code, str):
        raise FormatError("history.shape", "an answer is [from, blocks, code]")
    found = [one for one in blocks if isinstance(one, bytes)]
    if len(found) != len(blocks):
        raise FormatError("history.shape", "blocks are byte strings")
    return Answer(uint(start, "from", limits.TREE_SIZE), found, code)
