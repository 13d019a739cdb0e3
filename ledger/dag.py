"""The DAG of blocks that no milestone has confirmed yet: tips, and the order of confirmation
(docs/format.md, section 8).

* A **tip** is a block without children. A confirmed block is never one: the milestone that confirmed
  it, or a block between, is its child. So tips are found among the unconfirmed blocks alone, and
  memory holds no more than those.
* **Order**: from the milestone depth-first through the parents as listed, each block after all its
  parents. It depends on what the blocks say and on nothing else.

>>> order([b"c", b"b"], {b"a": (b"g",), b"b": (b"a",), b"c": (b"a",)})
[b'a', b'c', b'b']
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Pending", "order"]


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

    def __init__(self, blocks: Iterable[tuple[bytes, Sequence[bytes]]] = ()) -> None:
        self.parents: dict[bytes, tuple[bytes, ...]] = {}
        self._tips: dict[bytes, None] = {}
        for block, parents in blocks:
            self.attach(block, parents)

    def __len__(self) -> int:
        return len(self.parents)

    def __contains__(self, block: bytes) -> bool:
        return block in self.parents

    @property
    def tips(self) -> list[bytes]:
        """Blocks without children, oldest first."""
        return list(self._tips)

    def attach(self, block: bytes, parents: Sequence[bytes]) -> None:
        """Add a block whose parents are all known."""
        self.parents[block] = tuple(parents)
        for parent in parents:
            self._tips.pop(parent, None)
        self._tips[block] = None

    def confirm(self, blocks: Iterable[bytes]) -> None:
        """Take out what a milestone confirmed."""
        for block in blocks:
            del self.parents[block]
            self._tips.pop(block, None)
