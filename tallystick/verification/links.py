"""Step 6: the chain, its gaps and its forks, by the rules of `tallystick.chain`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tallystick.body import Event, EventCode, Kind
from tallystick.chain import Chain, Finding, Result
from tallystick.errors import TallystickError
from tallystick.keys import PublicKey
from tallystick.record import Record
from tallystick.verdict import Gap, Outcome
from tallystick.verification.state import Verification, some

__all__ = ["forks", "links"]


def links(v: Verification, first_key: PublicKey) -> None:
    """6. **chain.link**, **chain.gap**, **chain.disowned**: drive the rules over links and records."""
    p = v.proof
    walk = [*p.links, *p.records]
    if any(one.raw not in v.good for one in walk):
        v.add("chain.link", *_raw_links(walk, v.good))
        v.add("chain.gap", Outcome.SKIPPED, "needs all signatures")
        return
    start = walk[0].seq
    before = [one for one in v.periods if one.start <= start]
    state = Chain(first_key, start=start, periods=before)
    state.periods += [
        one
        for one in v.periods
        if one.start > start
        and not any(r.kind is Kind.ROTATE and r.seq == one.start - 1 for r in walk)
    ]
    refused: list[str] = []
    found: list[tuple[Record, Finding]] = []
    for one in walk:
        try:
            found.append((one, state.admit(one, verified=True)))
        except TallystickError as error:
            v.bad.add(one.seq)
            refused.append(f"seq {one.seq}: {error.detail}")
    forked = [f"seq {r.seq}: {f.detail}" for r, f in found if f.result is Result.FORK]
    disowned = [f"seq {r.seq}" for r, f in found if f.result is Result.DISOWNED]
    if refused:
        v.add("chain.link", Outcome.FAILED, some(refused))
    elif forked:
        v.add("chain.link", Outcome.UNTRUSTED, some(forked))
        v.forked += forked
    else:
        v.add("chain.link", Outcome.OK, _linked(walk))
    if disowned:
        v.add("chain.disowned", Outcome.UNTRUSTED, some(disowned))
    _gaps(v, state, [one for one, finding in found if finding.result is Result.ADMITTED])


def _gaps(v: Verification, state: Chain, walk: Sequence[Record]) -> None:
    """What is missing between the first and the last record, and whether the board says why."""
    events = [(one, gone) for one in walk if (gone := one.gives_up()) is not None]
    told = [gap for hole in state.given_up for gap in _told(hole, events)]
    untold = [Gap(hole.start, hole.stop - 1) for hole in state.missing]
    v.gaps = tuple(sorted((*told, *untold), key=lambda gap: gap.first))
    if untold:
        holes = ", ".join(map(_span, untold[:8]))
        records = sum(gap.records for gap in untold)
        v.add(
            "chain.gap",
            Outcome.UNDECIDED,
            f"missing, and no event explains it: {holes} ({records} record(s) left out by somebody)",
        )
    elif told:
        holes = ", ".join(f"{_span(gap)} {gap.reason} (event {gap.event})" for gap in told[:8])
        v.add("chain.gap", Outcome.OK, f"missing, and the board says so itself: {holes}")
    else:
        v.add("chain.gap", Outcome.OK, "none")


def _told(hole: range, events: Sequence[tuple[Record, range]]) -> list[Gap]:
    """The gaps in `hole`, each with the first event that gives it up."""
    gaps: list[Gap] = []
    left = [hole]
    for one, gone in events:
        code = one.body.code if isinstance(one.body, Event) else EventCode.DROPPED
        reason = EventCode(code).name.lower()
        for part in left:
            named = range(max(part.start, gone.start), min(part.stop, gone.stop))
            if named:
                gaps.append(Gap(named.start, named.stop - 1, reason, one.seq))
        left = [
            rest
            for part in left
            for rest in (
                range(part.start, min(part.stop, gone.start)),
                range(max(part.start, gone.stop), part.stop),
            )
            if rest
        ]
    return gaps


def forks(v: Verification) -> None:
    """6. **chain.fork**: the pairs in the file, and what collides without being called a pair."""
    p = v.proof
    marked = list(v.forked)
    places = {r.seq: r for r in (*p.links, *p.records)}
    for one in (*p.opens, *p.rotations):
        other = places.get(one.seq)
        if other is not None and other.id != one.id and other.raw in v.good:
            marked.append(f"fork at seq {one.seq}: {other.id.hex()[:16]} and {one.id.hex()[:16]}")
    useless = 0
    for first, second in p.forks:
        seq = _fork_seq(first, second)
        if seq is None or first.raw not in v.good or second.raw not in v.good:
            useless += 1
            continue
        hit = [r.seq for r in p.records if r.seq >= seq and r.signed.kid == second.signed.kid]
        pair = f"fork at seq {seq}: {first.id.hex()[:16]} and {second.id.hex()[:16]}"
        if hit:
            marked.append(pair)
        else:
            v.notes.append(f"a later {pair}")
    code = "chain.fork"
    if marked:
        v.add(code, Outcome.UNTRUSTED, some(marked) + " (a cloned or restored key)")
    elif useless:
        v.add(code, Outcome.UNDECIDED, f"{useless} fork part(s) that prove no fork")
    else:
        v.add(code, Outcome.OK, "none in the file")


def _raw_links(walk: Sequence[Record], good: set[bytes]) -> tuple[Outcome, str]:
    """What can be said of the links when a signature failed."""
    for before, after in itertools.pairwise(walk):
        broken = after.seq == before.seq + 1 and after.prev != before.id
        if broken and not (before.raw in good and after.raw in good):
            return Outcome.FAILED, f"seq {after.seq} does not continue seq {before.seq}"
    return Outcome.SKIPPED, "needs all signatures"


def _fork_seq(first: Record, second: Record) -> int | None:
    """Where the two records fork, None if they do not."""
    if first.signed.kid != second.signed.kid:
        return None
    if first.seq > second.seq:
        first, second = second, first
    if first.seq == second.seq and first.id != second.id:
        return first.seq
    if first.seq + 1 == second.seq and second.prev != first.id:
        return first.seq
    if first.kind is Kind.ROTATE and first.seq < second.seq:  # signed by the key that it replaced
        return first.seq + 1
    return None


def _linked(walk: Sequence[Record]) -> str:
    pairs = sum(b.seq == a.seq + 1 for a, b in itertools.pairwise(walk))
    return f"{pairs} link(s)" if len(walk) > 1 else "one record, nothing to link"


def _span(gap: Gap) -> str:
    return str(gap.first) if gap.first == gap.last else f"{gap.first}..{gap.last}"
