"""Forks that show only when several proof files are laid side by side: a cloned or restored key.

One file may be in order, and another of the same device too, and both together prove that the key signed two records
for one place (docs/format.md, section 5, rule 3). What is found is handed to the verifier as a fork pair, as if each
file had carried it: so there is one set of rules for what a fork does to a verdict.

Two passes: `see` notes (key, seq, id, prev) of each record of each file without checking anything; `confirmed` reads
again the files of the places where two notes contradict, and keeps the lowest pair of each key whose two signatures
verify. A forged record proves nothing, so nobody can spoil a neighbour's file by adding one.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tallystick import chain
from tallystick.body import Kind
from tallystick.errors import TallystickError
from tallystick.keys import PublicKey
from tallystick.proof import Proof
from tallystick.record import Record

__all__ = ["Fork", "ForkWatch", "device_keys"]


@dataclass(frozen=True)
class Fork:
    """Two records, both signed by `key`, that cannot both be its chain; the files (by number) that hold them."""

    key: PublicKey
    first: Record
    second: Record
    first_file: int
    second_file: int


class ForkWatch:
    """Takes note of the records of many files."""

    def __init__(self) -> None:
        # kid -> seq -> id -> (prev, number of the first file that holds it)
        self._seen: dict[bytes, dict[int, dict[bytes, tuple[bytes, int]]]] = defaultdict(
            lambda: defaultdict(dict)
        )

    def see(self, number: int, proof: Proof) -> None:
        """Note the records of file `number`."""
        for one in _records(proof):
            self._seen[one.signed.kid][one.seq].setdefault(one.id, (one.prev, number))

    def confirmed(self, load: Callable[[int], Proof | None]) -> dict[bytes, Fork]:
        """The lowest fork of each key, by kid; `load` reads file `number` again."""
        found: dict[bytes, Fork] = {}
        for kid, places in self._seen.items():
            fork = _lowest(kid, places, load)
            if fork is not None:
                found[kid] = fork
        return found


def device_keys(proof: Proof) -> dict[bytes, PublicKey]:
    """The keys of the device that the proof is about, by kid; empty if it does not say, or its rotations are wrong."""
    if proof.credential is None:
        return {}
    rotations = [
        r for r in (*proof.rotations, *proof.links, *proof.records) if r.kind is Kind.ROTATE
    ]
    rotations.sort(key=lambda one: one.seq)
    try:
        periods = chain.key_periods(proof.credential.device_key, rotations)
    except TallystickError:
        return {}
    keys = [period.key for period in periods]
    if proof.credential.key is not None:
        keys.append(proof.credential.key)
    return {key.kid: key for key in keys}


def _records(proof: Proof) -> Iterable[Record]:
    pairs = itertools.chain.from_iterable(proof.forks)
    return (*proof.records, *proof.links, *proof.opens, *proof.rotations, *pairs)


def _lowest(
    kid: bytes,
    places: dict[int, dict[bytes, tuple[bytes, int]]],
    load: Callable[[int], Proof | None],
) -> Fork | None:
    checked: dict[bytes, tuple[Record, PublicKey, int] | None] = {}

    def good(seq: int) -> list[tuple[Record, PublicKey, int]]:
        """The records at `seq` whose signatures verify."""
        for id, (_, number) in places.get(seq, {}).items():
            if id not in checked:
                checked[id] = _signed(load(number), kid, id, number)
        return [one for id in places.get(seq, {}) if (one := checked[id]) is not None]

    for seq in sorted(places):
        before = places.get(seq - 1, {})
        broken = before and any(prev not in before for prev, _ in places[seq].values())
        if len(places[seq]) < 2 and not broken:
            continue
        here = good(seq)
        for first, second in itertools.combinations(here, 2):
            if first[1] == second[1]:
                return Fork(first[1], first[0], second[0], first[2], second[2])
        for first, second in itertools.product(good(seq - 1) if broken else [], here):
            if first[1] == second[1] and second[0].prev != first[0].id:
                return Fork(first[1], first[0], second[0], first[2], second[2])
    return None


def _signed(
    proof: Proof | None, kid: bytes, id: bytes, number: int
) -> tuple[Record, PublicKey, int] | None:
    if proof is None:
        return None
    key = device_keys(proof).get(kid)
    if key is None:
        return None
    for one in _records(proof):
        if one.id == id:
            try:
                one.signed.verify(key)
            except TallystickError:
                continue
            return one, key, number
    return None
