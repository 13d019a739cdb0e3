"""Texts that wait until all are there: in memory while they are few, in a temporary file when they are many."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from typing import Final

__all__ = ["Spool"]

_IN_MEMORY: Final = 8 * 2**20


class Spool:
    """Texts by number, from 0 on."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - as long as this object
        self._ends = array("Q", [0])
        self._replaced: dict[int, str] = {}

    def add(self, text: str) -> None:
        """The next text."""
        data = text.encode("utf-8", "surrogatepass")
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def replace(self, number: int, text: str) -> None:
        """Another text for `number`."""
        self._replaced[number] = text

    def texts(self) -> Iterator[str]:
        """All, in order; to be called once."""
        self._file.seek(0)
        for number in range(len(self._ends) - 1):
            data = self._file.read(self._ends[number + 1] - self._ends[number])
            yield self._replaced.get(number, data.decode("utf-8", "surrogatepass"))
