"""The DAG of blocks that no milestone has confirmed yet: tips, and the order of confirmation
(docs/format.md, section 8). Pure.

* A **tip** is a block without children. A confirmed block is never one: the milestone that confirmed
  it, or a block between, is its child. So tips are found among the unconfirmed blocks alone, and
  memory holds no more than those.
* **Order**: from the milestone depth-first through the parents as listed, each block after all its
  parents. It depends on what the blocks say and on nothing else.
* **Roots** of a block: the confirmed blocks on which its past rests, each with the round in which it was
  confirmed. From them comes its score (IOTA TIP-3): a tip whose youngest root is more than 8 rounds old, or
  whose oldest is more than 15, is *lazy* and offered to nobody; more than 13: *semi-lazy*, offered only when
  nothing better is there. Lazy blocks are confirmed all the same: the ledger's own milestones build on them.

>>> order([b"c", b"b"], {b"a": (b"g",), b"b": (b"a",), b"c": (b"a",)})
[b'a', b'c', b'b']
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

__all__ = ["MAX_DEPTH", "Pending", "Roots", "Score", "Waiting", "order"]

YOUNGEST_ROOT: Final = 8  # rounds; C1 of TIP-3
OLDEST_ROOT: Final = 13  # rounds; C2 of TIP-3
MAX_DEPTH: Final = 15  # rounds; M of TIP-3: what is deeper is no parent any more


class Score(IntEnum):
    """How good a tip is to build on."""

    LAZY = 0
    SEMI_LAZY = 1
    NON_LAZY = 2


class Roots(NamedTuple):
    """The rounds of the youngest and of the oldest confirmed block on which a block rests."""

    youngest: int
    oldest: int

    def score(self, now: int) -> Score:
        """What a tip with these roots is worth in round `now`."""
        if now - self.youngest > YOUNGEST_ROOT or now - self.oldest > MAX_DEPTH:
            return Score.LAZY
        return Score.SEMI_LAZY if now - self.oldest > OLDEST_ROOT else Score.NON_LAZY


class Waiting(NamedTuple):
    """What is held of an unconfirmed block. `arrival` counts all blocks; `gateway`, `size` and
    `verified` are those of an anchor.
    """

    arrival: int
    parents: tuple[bytes, ...]
    roots: Roots
    gateway: bytes | None = None
    size: int = 0
    verified: bool = False


def order(parents: Sequence[bytes], unconfirmed: Mapping[bytes, Sequence[bytes]]) -> list[bytes]:
    """The ids that a milestone with `parents` confirms; `unconfirmed` gives each block's parents."""
    out: list[bytes] = []
    seen: set[bytes] = set()
    # a stack of our own: a thousand blocks in a row would exhaust the interpreter's
    stack: list[tuple[bytes | None, Iterator[bytes]]] = [(None, iter(parents))]
    while stack:
        block, rest = stack[-1]
        for parent in rest:
            if parent in unconfirmed and parent not in seen:
                seen.add(parent)
                stack.append((parent, iter(unconfirmed[parent])))
                break
        else:
            stack.pop()
            if block is not None:
                out.append(block)
    return out


class Pending:
    """The unconfirmed blocks in order of arrival, and the tips among them, oldest first."""

    def __init__(self) -> None:
        self.parents: dict[bytes, tuple[bytes, ...]] = {}
        self._waiting: dict[bytes, Waiting] = {}
        self._tips: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self.parents)

    def __contains__(self, block: bytes) -> bool:
        return block in self.parents

    def get(self, block: bytes) -> Waiting | None:
        """What is known of an unconfirmed block."""
        return self._waiting.get(block)

    @property
    def tips(self) -> list[bytes]:
        """Blocks without children, oldest first."""
        return list(self._tips)

    def oldest_tips(self, count: int, but: bytes) -> list[bytes]:
        """The first `count` of the tips other than `but`."""
        found: list[bytes] = []
        for tip in self._tips:
            if len(found) == count:
                break
            if tip != but:
                found.append(tip)
        return found

    def best_tips(self, now: int) -> list[bytes]:
        """The tips to choose from in round `now`: the non-lazy ones; without any, the semi-lazy ones."""
        scores = {tip: self._waiting[tip].roots.score(now) for tip in self._tips}
        best = max(scores.values(), default=Score.LAZY)
        return [] if best is Score.LAZY else [tip for tip, one in scores.items() if one is best]

    @property
    def first_arrival(self) -> int | None:
        """The arrival of the oldest unconfirmed block."""
        return next((one.arrival for one in self._waiting.values()), None)

    def attach(self, block: bytes, waiting: Waiting) -> None:
        """Add a block whose parents are all known."""
        self.parents[block] = waiting.parents
        self._waiting[block] = waiting
        for parent in waiting.parents:
            self._tips.pop(parent, None)
        self._tips[block] = None

    def confirm(self, blocks: Iterable[bytes]) -> list[Waiting]:
        """Take out what a milestone confirmed; what was held of each."""
        found: list[Waiting] = []
        for block in blocks:
            del self.parents[block]
            self._tips.pop(block, None)
            found.append(self._waiting.pop(block))
        return found
