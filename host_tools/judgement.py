"""The verdict on each of many files: the library's, plus what only several files together show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tallystick import policy, verify
from tallystick.body import Event, EventCode
from tallystick.jcs import Object
from tallystick.proof import Proof
from tallystick.record import Record
from tallystick.verdict import Check, Outcome, Verdict
from tallystick_host.forks import Fork, ForkWatch, device_keys
from tallystick_host.proof_files import ProofFile

__all__ = ["Judged", "judge"]

_FORK = "chain.fork"
_KEPT_PROOFS = 8  # parsed, while forks are confirmed


@dataclass(frozen=True)
class Judged:
    """A file and what became of it; `proof` is None if it could not be read."""

    file: ProofFile
    verdict: Verdict
    proof: Proof | None


def judge(
    given: Sequence[ProofFile],
    trusted: policy.Policy,
    step: Callable[[], None] = lambda: None,
    lists: Sequence[Object] = (),
) -> Iterator[Judged]:
    """The verdict on each file, in order. `step` is called twice a file, once when it was read and once when judged;
    `lists` are status lists at hand.
    """
    forks = _forks(given, step) if len(given) > 1 else {}
    for file in given:
        loaded = file.load()
        if isinstance(loaded, Check):
            yield Judged(file, Verdict((loaded,)), None)
        else:
            yield Judged(file, _verdict(given, loaded, trusted, forks, lists), loaded)
        step()


def _forks(given: Sequence[ProofFile], step: Callable[[], None]) -> dict[bytes, Fork]:
    watch = ForkWatch()
    for number, file in enumerate(given):
        loaded = file.load()
        if not isinstance(loaded, Check):
            watch.see(number, loaded)
        step()

    @lru_cache(maxsize=_KEPT_PROOFS)
    def load(number: int) -> Proof | None:
        again = given[number].load()
        return None if isinstance(again, Check) else again

    return watch.confirmed(load)


def _verdict(
    given: Sequence[ProofFile],
    proof: Proof,
    trusted: policy.Policy,
    forks: Mapping[bytes, Fork],
    lists: Sequence[Object],
) -> Verdict:
    here = [
        forks[kid]
        for kid, key in device_keys(proof).items()
        if kid in forks and forks[kid].key == key
    ]
    if not here:
        return verify.verify(proof, trusted, lists)
    pairs = tuple((fork.first, fork.second) for fork in here)
    verdict = verify.verify(proof.replace(forks=proof.forks + pairs), trusted, lists)
    checks = tuple(
        check.replace(detail="; ".join(_where(fork, given) for fork in here))
        if check.code == _FORK and check.result is Outcome.UNTRUSTED
        else check
        for check in verdict.checks
    )
    return verdict.replace(checks=checks)


def _where(fork: Fork, given: Sequence[ProofFile]) -> str:
    seq = min(fork.first.seq, fork.second.seq)
    first = f"{_named(fork.first)} in {given[fork.first_file].name}"
    second = f"{_named(fork.second)} in {given[fork.second_file].name}"
    return f"fork at seq {seq}: {first} and {second} (a cloned or restored key)"


def _named(one: Record) -> str:
    """What a person needs to find it; an `adopted` may stand there because the gateway lost a branch."""
    adopted = isinstance(one.body, Event) and one.body.code == EventCode.ADOPTED
    return f"{'adopted' if adopted else one.kind.name.lower()} {one.id.hex()[:16]}"
