"""The records of a proof as a person follows them: what happened, in what order, and which of them are bad."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tallystick.body import Event, EventCode, Kind, Readings
from tallystick.errors import TallystickError
from tallystick.proof import Proof
from tallystick.record import Record
from tallystick.verdict import Gap, Verdict
from tallystick_host.forks import device_keys
from tallystick_host.words import plural, rfc3339, span

__all__ = ["Mark", "bad_records", "marks"]

_NAMES: Final = {
    Kind.OPEN: "restart",
    Kind.READINGS: "readings",
    Kind.BEACON: "beacon",
    Kind.ROTATE: "new key",
}


@dataclass(frozen=True)
class Mark:
    """One place of the chain. `look` is a class of the style: readings, open, beacon, event, rotate, gap, bad."""

    seq: int
    last: int
    look: str
    words: str


def bad_records(proof: Proof) -> set[int]:
    """The seqs whose signature does not verify under a key of the device, or that prove a fork."""
    keys = device_keys(proof)
    bad = {pair[0].seq for pair in proof.forks}
    for one in (*proof.links, *proof.records):
        key = keys.get(one.signed.kid)
        try:
            if key is None:
                bad.add(one.seq)
            else:
                one.signed.verify(key)
        except TallystickError:
            bad.add(one.seq)
    return bad


def marks(proof: Proof, verdict: Verdict, bad: set[int], limit: int) -> list[Mark]:
    """The chain as at most about `limit` marks: neighbours that say the same are drawn as one."""
    walk: list[Record] = sorted((*proof.links, *proof.records), key=lambda one: one.seq)
    single = [_mark(one, one.seq in bad) for one in walk]
    holes = [
        Mark(gap.first, gap.last, "gap", f"{span(gap.first, gap.last)}: missing, {_reason(gap)}")
        for gap in verdict.gaps
    ]
    every = sorted((*single, *holes), key=lambda one: one.seq)
    if len(every) <= limit:
        return every
    return list(_joined(every))


def _mark(one: Record, bad: bool) -> Mark:
    words = f"{one.seq}: {_words(one)}, {rfc3339(one.time)}"
    if bad:
        return Mark(one.seq, one.seq, "bad", f"{words}: not as the device signed it, or forked")
    return Mark(one.seq, one.seq, one.kind.name.lower(), words)


def _words(one: Record) -> str:
    if isinstance(one.body, Readings):
        return plural(one.body.count, "reading")
    if isinstance(one.body, Event):
        known = one.body.code in set(EventCode)
        return EventCode(one.body.code).name.lower() if known else f"event {one.body.code}"
    return _NAMES[one.kind]


def _reason(gap: Gap) -> str:
    if gap.reason is None:
        return "and nothing explains it"
    return f"{gap.reason}, as the board says at seq {gap.event}"


def _joined(every: Iterable[Mark]) -> Iterable[Mark]:
    held: Mark | None = None
    for one in every:
        if held is not None and held.look == one.look == "readings":
            held = Mark(held.seq, one.last, "readings", f"{span(held.seq, one.last)}: readings")
            continue
        if held is not None:
            yield held
        held = one
    if held is not None:
        yield held
