"""Which agent a device says it runs, and what updates this gateway holds for boards.

A device states version and digest in its `open`, signed: its own word of itself. An update file here was
offered to nobody by being here, and whether a board takes it is the board's to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tallystick.body import Open
from tallystick.record import CLOCK_UNSET_BELOW
from tallystick.update import Kind, Update

__all__ = ["Agent", "Offer", "agent", "offers"]


@dataclass(frozen=True)
class Agent:
    """What a device runs. `update` is the counter of the update here that brings the same, if one does."""

    version: str
    digest: str
    update: int | None


@dataclass(frozen=True)
class Offer:
    """An update file. `made`: its counter where that is a time, as `tally update make` chooses it; `running`:
    devices shown here that run it, None where devices do not say so.
    """

    version: str
    kind: str
    board: str | None
    counter: int
    made: int | None
    digest: str
    running: int | None


def agent(opened: Open | None, updates: Iterable[Update]) -> Agent | None:
    """The agent of the device whose newest `open` this is."""
    if opened is None:
        return None
    same = [one.manifest for one in updates if one.manifest.kind is Kind.AGENT]
    counters = [one.counter for one in same if one.digest == opened.digest]
    return Agent(opened.version, opened.digest.hex(), max(counters, default=None))


def offers(updates: Sequence[Update], digests: Iterable[bytes]) -> list[Offer]:
    """The updates, newest first; `digests` are those of the devices that are shown."""
    running = Counter(digests)
    return [
        Offer(
            one.version,
            "agent" if one.kind is Kind.AGENT else "MicroPython",
            one.board,
            one.counter,
            one.counter if one.counter >= CLOCK_UNSET_BELOW else None,
            one.digest.hex(),
            running[one.digest] if one.kind is Kind.AGENT else None,
        )
        for one in (update.manifest for update in reversed(updates))
    ]
