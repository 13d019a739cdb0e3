"""Proof files on a disk: found in folders, read with a limit, each with its own trouble."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final

from tallystick import embedded, limits, proof
from tallystick.errors import TallystickError
from tallystick.proof import Proof
from tallystick.value import Value
from tallystick.verdict import Check, Outcome
from tallystick_host import files
from tallystick_host.errors import UndoneError
from tallystick_host.words import shown_path

__all__ = ["ProofFile", "find"]

SUFFIX: Final = ".tally"
REPORT_SUFFIX: Final = ".html"


class ProofFile(Value):
    """A path to judge. `trouble`: why it cannot be read, known before it is opened."""

    path: str
    trouble: str = ""

    @cached_property
    def name(self) -> str:
        """The path for people."""
        return shown_path(self.path)

    def size(self) -> int:
        """How many bytes there are to verify, 0 if nobody can say."""
        try:
            return 0 if self.trouble else os.stat(self.path).st_size
        except (OSError, ValueError):
            return 0

    def load(self) -> Proof | Check:
        """The proof, or the failed check `proof.format` that says why there is none."""
        if self.trouble:
            return _unreadable(self.trouble)
        data = b""
        try:
            data = self._read()
            return proof.parse(data)
        except UndoneError as error:
            return _unreadable(error.detail)
        except TallystickError as error:
            # no CBOR of ours starts with an ASCII character
            other = data and data[:1].isascii()
            return _unreadable(f"{error}; this is no proof" if other else str(error))

    def _read(self) -> bytes:
        """The bytes of the proof, out of a report if it is one."""
        data = files.read(self.path, limits.PROOF_BYTES)
        return embedded.proof_in(data) if embedded.is_html(data) else data


def find(paths: Iterable[str]) -> Iterator[ProofFile]:
    """Every file that is named, and every *.tally in the folders that are named, in the order of their names."""
    for path in paths:
        if not os.path.isdir(path):
            yield ProofFile(path)
            continue
        empty = True
        troubles: list[OSError] = []
        for folder, folders, names in os.walk(path, onerror=troubles.append):
            folders.sort()
            for name in sorted(names):
                if name.endswith(SUFFIX):
                    empty = False
                    yield ProofFile(os.path.join(folder, name))
        for error in troubles:
            yield ProofFile(error.filename or path, (error.strerror or str(error)).lower())
        if empty and not troubles:
            yield ProofFile(path, f"a folder without *{SUFFIX} files")


def _unreadable(reason: str) -> Check:
    return Check("proof.format", Outcome.UNDECIDED, reason)
