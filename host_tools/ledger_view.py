"""What a ledger says about a device, from bytes that prove themselves. Its HTTP side is asked, not believed.

* The newest milestone must be signed by a ledger of the policy.
* `complete` takes all blocks of the ledger, and their ids must lead to the root that this milestone signs: nothing
  was changed, put in or left out. That is what a buyer needs: a theft cannot be kept from him.
* `quick` takes the device's statements alone, each with its way into the tree. None of them can be false, but the
  newest could be missing.

How new the newest milestone is, nobody proves offline: it is named with every answer.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from tallystick import block, cbor, did, limits, merkle, milestone, record, statement
from tallystick.block import BlockKind
from tallystick.errors import EvidenceError, FormatError, TallystickError
from tallystick.milestone import Confirmed, Milestone
from tallystick.policy import Log, Policy
from tallystick.statement import Statement
from tallystick_host import fetched, source, terminal
from tallystick_host.errors import RefusedError, UndoneError
from tallystick_host.words import shown

__all__ = ["Said", "View", "complete", "every", "newest", "progress", "proven", "quick", "sequence"]

_BAR_FROM: Final = 20_000  # blocks
_HEADS: Final = {
    0x58: 1,
    0x59: 2,
    0x5A: 4,
}  # byte strings of CBOR: bytes of the length that follows


@dataclass(frozen=True)
class Said:
    """A statement, its position among all blocks, and the milestone that confirmed it."""

    position: int
    milestone: Milestone
    statement: Statement


@dataclass(frozen=True)
class View:
    """The statements about one device, as of `newest`. `complete`: none can be missing up to there."""

    ledger: Log
    newest: Milestone
    said: tuple[Said, ...]
    complete: bool


def newest(url: str, trusted: Policy) -> tuple[Log, Milestone]:
    """The newest milestone that the ledger at `url` shows, signed by a ledger of the policy."""
    try:
        stone = milestone.parse(source.milestone(url))
    except TallystickError as error:
        raise UndoneError(f"what came is no milestone: {error.detail}", code=error.code) from error
    return _trusted(stone, trusted), stone


def complete(
    url: str, trusted: Policy, id: str, step: Callable[[int, int], None] = lambda _done, _of: None
) -> View:
    """All statements about device `id` (16 hexadecimal digits), out of all blocks. `step`: told (done, of) blocks."""
    ledger, stone = newest(url, trusted)
    stones: list[Milestone] = []
    found: list[tuple[int, Statement]] = []
    for position, raw in every(url, stone, step):
        _sort(raw, position, ledger, id, stones, found)
    by_first = _in_order([*stones, stone])
    firsts = [one.first for one in by_first]
    said = tuple(
        Said(position, by_first[bisect.bisect(firsts, position) - 1], one)
        for position, one in found
    )
    return View(ledger, stone, said, complete=True)


def every(
    url: str, stone: Milestone, step: Callable[[int, int], None] = lambda _done, _of: None
) -> Iterator[tuple[int, bytes]]:
    """(position, bytes) of all blocks that `stone` and the milestones before it confirmed. `step` as above.

    They are proven when the iteration has ended: `RefusedError` at its end if they do not lead to the root.
    """
    tree = _Tree()
    while tree.size < stone.size:
        before = tree.size
        for raw in sequence(source.blocks(url, tree.size)):
            if tree.size == stone.size:
                break  # younger than the milestone that we look at
            yield tree.size, raw
            tree.add(block.block_id(raw))
        if tree.size == before:
            raise UndoneError(
                f"{shown(url)!r} sends {tree.size} of {stone.size} blocks", code="ledger.blocks"
            )
        step(tree.size, stone.size)
    # stops a block from being changed, put in or left out on the way
    if tree.root() != stone.root:
        raise RefusedError(
            "the blocks do not lead to the root that the ledger signed", code="ledger.root"
        )


def proven(url: str, trusted: Policy, id: str) -> Confirmed:
    """Block `id` (64 hexadecimal digits) with its path, to a milestone of a ledger of the policy."""
    try:
        confirmed = milestone.parse_confirmed(source.confirmed(url, id))
    except TallystickError as error:
        raise UndoneError(f"what came is no proof: {error.detail}", code=error.code) from error
    if confirmed.block.id.hex() != id:
        raise RefusedError(
            f"the proof is that of block {confirmed.block.id.hex()}", code="receipt.block"
        )
    _trusted(confirmed.milestone, trusted)
    try:
        confirmed.verify_inclusion()
    except EvidenceError as error:
        raise RefusedError(f"the path: {error.detail}", code=error.code) from error
    return confirmed


def quick(url: str, trusted: Policy, id: str) -> View:
    """The statements about device `id` that the ledger chooses to show, each proven."""
    ledger, stone = newest(url, trusted)
    said: list[Said] = []
    for raw in fetched.statements(partial(source.statements, url, id), id):
        confirmed = milestone.parse_confirmed(raw)
        if _trusted(confirmed.milestone, trusted).ledger != ledger.ledger:
            raise RefusedError("a statement in another ledger", code="milestone.ledger")
        try:
            confirmed.verify_inclusion()
        except EvidenceError as error:
            raise RefusedError(
                f"statement at {confirmed.position}: {error.detail}", code=error.code
            ) from error
        said.append(
            Said(confirmed.position, confirmed.milestone, statement.parse(confirmed.block.carried))
        )
        if confirmed.milestone.index > stone.index:
            stone = confirmed.milestone
    return View(ledger, stone, tuple(said), complete=False)


class _Tree:
    """The root of an RFC 9162 tree over leaves that come one by one: full subtrees, the largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._full: list[bytes] = []

    def add(self, entry: bytes) -> None:
        node = merkle.leaf_hash(entry)
        ends = self.size
        while ends & 1:
            node = merkle.node_hash(self._full.pop(), node)
            ends >>= 1
        self._full.append(node)
        self.size += 1

    def root(self) -> bytes:
        node = self._full[-1]
        for left in reversed(self._full[:-1]):
            node = merkle.node_hash(left, node)
        return node


def _trusted(stone: Milestone, trusted: Policy) -> Log:
    """The ledger of the policy that signed `stone`."""
    ledger = trusted.ledger(stone.ledger)
    if ledger is None:
        raise UndoneError(
            f"ledger {stone.ledger.hex()} is not in the policy",
            code="ledger.unknown",
            hint='tally policy trust ledger "$(tally-ledger identity)", if you trust it',
        )
    try:
        stone.verify(ledger.vkey.key)
    except EvidenceError as error:
        raise RefusedError(f"milestone {stone.index}: {error.detail}", code=error.code) from error
    return ledger


def _sort(
    raw: bytes,
    position: int,
    ledger: Log,
    id: str,
    stones: list[Milestone],
    found: list[tuple[int, Statement]],
) -> None:
    """Put a block where it belongs, if it matters: the milestones, the statements about the device."""
    try:
        parsed = block.parse(raw)
        if position == 0 and block.ledger_id(raw) != ledger.ledger:
            raise FormatError(
                "milestone.ledger", "the first block is the genesis of another ledger"
            )
        if parsed.kind is BlockKind.MILESTONE:
            stones.append(milestone.from_block(parsed))
        if parsed.kind is not BlockKind.STATEMENT:
            return
    except TallystickError as error:
        raise UndoneError(f"block {position}: {error.detail}", code=error.code) from error
    try:
        said = statement.parse(parsed.carried)
    except TallystickError:
        return  # what no verifier can read has no effect
    if record.device_id(did.public_key(said.device)).hex() == id:
        found.append((position, said))


def _in_order(stones: list[Milestone]) -> list[Milestone]:
    """The milestones by their index. The newest names the one before, and so on to the first: ids, so that the newest's
    signature covers them all.
    """
    ordered = sorted(stones, key=lambda one: one.index)
    size = 0
    for index, one in enumerate(ordered, 1):
        linked = index == 1 or one.previous == ordered[index - 2].id
        if (one.index, one.first) != (index, size) or not linked:
            raise RefusedError(
                f"milestone {one.index} does not continue the one before", code="milestone.position"
            )
        size = one.size
    return ordered


def sequence(data: bytes) -> Iterator[bytes]:
    """The byte strings of a CBOR sequence (RFC 8742)."""
    place = 0
    while place < len(data):
        head = data[place]
        width = _HEADS.get(head, 0)
        length = (
            int.from_bytes(data[place + 1 : place + 1 + width], "big") if width else head - 0x40
        )
        start = place + 1 + width
        end = start + length
        if not 0 <= length <= limits.BLOCK_BYTES or end > len(data):
            raise UndoneError(
                "what the ledger sent is no sequence of blocks", code="cbor.malformed"
            )
        raw = data[start:end]
        if cbor.encode(raw) != data[place:end]:
            raise UndoneError(
                "what the ledger sent is no sequence of blocks", code="cbor.malformed"
            )
        yield raw
        place = end


@contextlib.contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while many blocks come, where a person looks."""
    if not terminal.can_progress():
        yield lambda _done, _of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("blocks", total=None, visible=False)

        def step(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of, visible=of >= _BAR_FROM)

        yield step
