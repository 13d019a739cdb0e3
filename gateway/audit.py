"""Follows a log from its last known checkpoint to the one that it shows now, and says what it found.

The tiles are believed only if they lead to the signed root. If they do, and do not contain the tree that
the log signed before, the log has forked: two signatures of its key prove it to anyone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tallystick import limits, merkle, note
from tallystick.checkpoint import Checkpoint
from tallystick.errors import PathError, TallystickError
from tallystick.note import VerifierKey
from tallystick_gateway import tlog
from tallystick_gateway.tiles import Tiles
from tallystick_gateway.tlog import Source, UnreachableError
from tallystick_gateway.witness import Refused, Witness

__all__ = ["Found", "Look", "look"]


class Look(StrEnum):
    """What an audit found."""

    GREW = "grew"
    SAME = "same"
    OLDER = "older"  # shows a smaller tree than before; what it holds is consistent
    UNREACHABLE = "unreachable"
    INVALID = "invalid"  # shows what its key has not signed, or tiles that lead nowhere
    FORK = "fork"


@dataclass(frozen=True)
class Found:
    """The outcome of one look; `evidence` is where the proof of a fork lies, `line` the cosignature."""

    look: Look
    detail: str
    size: int | None = None
    before: int | None = None
    evidence: Path | None = None
    line: str | None = None

    @property
    def good(self) -> bool:
        """Is the log what it was, or more?"""
        return self.look in (Look.GREW, Look.SAME)


def look(source: Source, log: VerifierKey, witness: Witness, now: int) -> Found:
    """Compare what `source` shows of `log` with what was seen last; keep and cosign it if it grew."""
    place = witness.forked(log.name)
    if place is not None:
        return Found(Look.FORK, "this log has forked before", evidence=place)
    last = witness.last(log.name)
    before = last.size if last else None
    try:
        raw = source.get("checkpoint", limits.NOTE_BYTES)
        if raw is None:
            raise UnreachableError("checkpoint: not there")
        new = witness.verified(note.parse(raw))
        if new.origin != log.name:
            return Found(Look.INVALID, f"the checkpoint is one of {new.origin!r}", before=before)
        return _compare(source, witness, last, new, now)
    except UnreachableError as error:
        return Found(Look.UNREACHABLE, str(error), before=before)
    except (Refused, TallystickError) as error:
        return Found(Look.INVALID, str(error), before=before)


def _compare(
    source: Source, witness: Witness, last: Checkpoint | None, new: Checkpoint, now: int
) -> Found:
    before = last.size if last else None
    if last is not None and last.size == new.size:
        if last.root != new.root:
            return _fork(witness, last, new, f"two roots at size {new.size}")
        answer = witness.update(new.note, last.size, [], now)
        return Found(Look.SAME, "nothing new", new.size, before, line=answer.line)
    tree = tlog.tree(source, max(new.size, last.size if last else 0))
    if last is not None and new.size < last.size:
        return _older(tree, witness, last, new)
    if tree.root_at(new.size) != new.root:
        return Found(Look.INVALID, "its tiles do not lead to the signed root", new.size, before)
    if last is None or last.size == 0:
        answer = witness.update(new.note, 0, [], now)
        return Found(Look.GREW, "seen for the first time", new.size, before, line=answer.line)
    prefix, path = tree.root_at(last.size), tree.consistency(last.size, new.size)
    try:
        # until this holds, a wrong prefix may be a wrong tile
        merkle.verify_consistency(last.size, prefix, new.size, new.root, path)
    except PathError:
        return Found(Look.INVALID, "its tiles contradict each other", new.size, before)
    if prefix != last.root:
        why = f"the tree of {new.size} leaves does not contain the one of {last.size}"
        return _fork(witness, last, new, why)
    answer = witness.update(new.note, last.size, path, now)
    grown = new.size - last.size
    return Found(Look.GREW, f"{grown} more leaves", new.size, before, line=answer.line)


def _older(tree: Tiles, witness: Witness, last: Checkpoint, new: Checkpoint) -> Found:
    """A smaller checkpoint than before: a cache, a restored backup, or another history."""
    try:
        # with the tiles of the larger tree, if they are still shown
        prefix, path = tree.root_at(new.size), tree.consistency(new.size, last.size)
        merkle.verify_consistency(new.size, prefix, last.size, last.root, path)
        if prefix != new.root:
            why = f"the tree of {last.size} leaves does not contain the one of {new.size}"
            return _fork(witness, last, new, why)
    except (PathError, UnreachableError):
        pass
    detail = f"it shows {new.size} leaves, after {last.size} before"
    return Found(Look.OLDER, detail, new.size, last.size)


def _fork(witness: Witness, last: Checkpoint, new: Checkpoint, why: str) -> Found:
    place = witness.keep_fork(last, new, why)
    return Found(Look.FORK, why, new.size, last.size, place)
