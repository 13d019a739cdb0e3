"""A proof that waited for its anchor, completed: by the gateway that made it, or from the ledger alone.

The records are those of the old file, byte for byte; what is new is asked for and not believed: `tally verify` judges
it. The ledger alone is enough where it holds the very checkpoint that the file carries: its blocks are searched for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tallystick import block, proof
from tallystick.block import BlockKind
from tallystick.errors import TallystickError
from tallystick.proof import Part, Proof
from tallystick_host import fetched, source
from tallystick_host.errors import UndoneError
from tallystick_host.ledger_view import sequence
from tallystick_host.question import Between

__all__ = ["from_ledger", "from_maker", "with_cosigned"]


def from_maker(old: Proof, id: str, ask: Callable[[Between], bytes]) -> bytes:
    """The proof of the same records as `ask` gives it now, with the statements and the lower bound of the old file.

    `UndoneError` if it is about other records, or still without an anchor.
    """
    wanted = Between(old.records[0].seq, old.records[-1].seq)
    data = ask(wanted)
    new = fetched.check(data, id, wanted)
    if [one.raw for one in new.records] != [one.raw for one in old.records]:
        raise UndoneError(
            "the gateway gives other records for these seqs",
            code="upgrade.records",
            hint="keep both files: tally verify OLD NEW says whether the board was cloned",
        )
    if new.anchor is None:
        raise _pending()
    kept: list[tuple[Part, bytes]] = [
        *((Part.STATEMENT, confirmed.encode()) for confirmed, _ in old.statements),
        *((Part.LINK, one.raw) for one in old.links),
        *((Part.BEFORE, one.block.raw) for one in (old.before,) if one is not None),
    ]
    for part in {part for part, _ in kept}:
        data = fetched.with_parts(data, part, [raw for found, raw in kept if found is part])
    return data


def from_ledger(data: bytes, old: Proof, url: str) -> bytes:
    """The proof with the anchor of its own checkpoint, as the ledger at `url` holds it."""
    if old.bare_checkpoint is None:
        raise UndoneError("the file has an anchor already", code="upgrade.anchored")
    note = old.bare_checkpoint.raw
    for raw in _blocks(url):
        try:
            one = block.parse(raw)
        except TallystickError as error:
            raise UndoneError(
                f"what the ledger sent is no block: {error.detail}", code=error.code
            ) from error
        if one.kind is BlockKind.ANCHOR and one.carried == note:
            confirmed = source.confirmed(url, one.id.hex())
            return fetched.with_parts(data, Part.ANCHOR, [confirmed], without=Part.CHECKPOINT)
    raise _pending()


def with_cosigned(data: bytes, url: str) -> bytes:
    """The proof with the newest cosigned checkpoint over its anchor, if the ledger has one."""
    parsed = proof.parse(data)
    if parsed.anchor is None:
        return data
    cosigned = source.cosigned(url, parsed.anchor.block.id.hex())
    return data if cosigned is None else fetched.with_parts(data, Part.COSIGNED, [cosigned])


def _blocks(url: str) -> Iterator[bytes]:
    """All confirmed blocks of the ledger, in the order of their positions."""
    start = 0
    while page := source.blocks(url, start):
        for raw in sequence(page):
            yield raw
            start += 1


def _pending() -> UndoneError:
    return UndoneError(
        "no ledger confirms it yet",
        code="upgrade.pending",
        hint="wait for the next milestone, then try again",
    )
