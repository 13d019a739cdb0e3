"""What shows only when many files are laid side by side: forks, and how far each device's records reach.

Of each record a row of 24 bytes is kept (`judgement.Judged.rows`), so that a million records take some tens of
megabytes. Where rows contradict, the files that hold them are read again and `forks` decides, by full ids and
signatures: a row is a hint and never evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from tallystick.proof import Proof
from tallystick.value import Value
from tallystick.verdict import Check
from tallystick_host.forks import Fork, ForkWatch, device_keys
from tallystick_host.judgement import ROW_BYTES, where
from tallystick_host.proof_files import ProofFile

__all__ = ["CrossCheck", "Forks"]

_KEPT_PROOFS = 8  # parsed, while forks are confirmed
_FILE_BYTES = 4


class Forks(Value):
    """Forks that several files prove together, by the key's kid. `holders`: the files with records of these keys."""

    given: Sequence[ProofFile]
    found: Mapping[bytes, Fork]
    holders: frozenset[int]

    def of(self, file: ProofFile) -> list[tuple[Fork, str]]:
        """Those of the keys of the device that `file` is about, and where the two records stand."""
        loaded = file.load()
        if isinstance(loaded, Check):
            return []
        keys = device_keys(loaded)
        forks = [fork for kid, fork in self.found.items() if keys.get(kid) == fork.key]
        return [(fork, where(fork, self._names(fork))) for fork in forks]

    def _names(self, fork: Fork) -> tuple[str, str]:
        return self.given[fork.first_file].name, self.given[fork.second_file].name


class CrossCheck:
    """Takes in the rows of each file; `forks` then compares them."""

    def __init__(self) -> None:
        self._files: dict[bytes, list[tuple[int, bytes]]] = {}  # kid -> (file number, rows)

    def see(self, number: int, rows: Mapping[bytes, bytes]) -> None:
        """The rows of file `number`."""
        for kid, held in rows.items():
            self._files.setdefault(kid, []).append((number, held))

    def forks(self, given: Sequence[ProofFile]) -> Forks:
        """The lowest fork of each key whose records contradict each other."""
        numbers = sorted({number for kid in self._files for number in self._contradicting(kid)})

        @lru_cache(maxsize=_KEPT_PROOFS)
        def load(number: int) -> Proof | None:
            loaded = given[number].load()
            return None if isinstance(loaded, Check) else loaded

        watch = ForkWatch()
        for number in numbers:
            proof = load(number)
            if proof is not None:
                watch.see(number, proof)
        found = watch.confirmed(load)
        holders = {number for kid in found for number, _ in self._files.get(kid, ())}
        return Forks(given, found, frozenset(holders))

    def _contradicting(self, kid: bytes) -> set[int]:
        """The files with two rows of one seq and different ids, or of neighbours of which one does not follow."""
        held = self._files[kid]
        if len(held) == 1:
            return set()
        found: set[int] = set()
        before: list[bytes] = []  # the different rows of the seq before
        here: list[bytes] = []
        for row in _sorted(held):
            if len(here) == 1 and row[16:24] == here[0][8:16] and _seq(row) == _seq(here[0]) + 1:
                before, here = here, [row]  # it follows the one row before it
                continue
            if here and row[:8] != here[0][:8]:
                before, here = here, []
            here.append(row)
            follows = before and _seq(before[0]) + 1 == _seq(row)
            if row[8:16] != here[0][8:16]:
                found |= {_file(one) for one in here}
            if follows and row[16:24] not in {one[8:16] for one in before}:
                found |= {_file(one) for one in (*before, row)}
        return found


def _sorted(held: Iterable[tuple[int, bytes]]) -> list[bytes]:
    """All rows in the order of their seqs, each with the number of its file."""
    rows: list[bytes] = []
    for number, packed in held:
        file = number.to_bytes(_FILE_BYTES, "big")
        rows += [packed[at : at + ROW_BYTES] + file for at in range(0, len(packed), ROW_BYTES)]
    rows.sort()
    return rows


def _seq(row: bytes) -> int:
    return int.from_bytes(row[:8], "big")


def _file(row: bytes) -> int:
    return int.from_bytes(row[ROW_BYTES:], "big")
