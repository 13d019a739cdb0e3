"""The text of a policy as a table, with the line of each of its parts, and what is wrong at which line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from tallystick.errors import PolicyError
from tallystick.value import Value

__all__ = ["Notes", "Problem"]

_AT: Final = re.compile(r"\(at line (\d+), column \d+\)")
_HEADER: Final = re.compile(r"\s*\[\[\s*(\w+)\s*\]\]|\s*\[\s*(\w+)\s*\]")
_KEY: Final = re.compile(r"\s*([\w-]+)\s*=")


class Problem(Value):
    """One mistake: its line (counted from 1, None if it is the whole file), code, words, and what to do."""

    line: int | None
    code: str
    detail: str
    hint: str = ""

    def error(self) -> PolicyError:
        """The same as an error."""
        where = "" if self.line is None else f"line {self.line}: "
        return PolicyError(self.code, where + self.detail, hint=self.hint)


class Notes:
    """A table, and what is wrong with it so far; its keys' lines are known if it was read from `text`."""

    def __init__(self, text: bytes, table: Mapping[str, Any] | None = None) -> None:
        self.problems: list[Problem] = []
        self.lines: dict[tuple[object, ...], int] = {}
        self.table: Mapping[str, Any] = {}
        if table is not None:
            self.table = table
            return
        try:
            decoded = text.decode()
            self.table = tomllib.loads(decoded)
        # tomllib lets through what int() and the stack say of 5,000 digits and of 5,000 brackets
        except (ValueError, RecursionError) as error:
            found = _AT.search(str(error))
            words = _AT.sub("", str(error)).strip()
            self.note(
                (), "policy.toml", f"not TOML: {words}", line=int(found[1]) if found else None
            )
            return
        self.lines = _lines(decoded)

    def known(self, table: object, allowed: set[str], where: tuple[object, ...]) -> bool:
        """Is it a table? What stands in it besides `allowed` is noted; the rest is read all the same."""
        if not isinstance(table, dict):
            self.note(where, "policy.table", f"{where[0]} is not a table")
            return False
        unknown = [key for key in table if key not in allowed]
        for key in unknown:
            self.note(
                (*where, key),
                "policy.unknown",
                f"{key!r} is not known here",
                f"one of {' '.join(sorted(allowed))}",
            )
        return True

    def string(self, table: Mapping[str, Any], key: str, where: tuple[object, ...]) -> str | None:
        """The text of `key`, "" if it is not there; None, and noted, if it is none."""
        value = table.get(key, "")
        if not isinstance(value, str):
            self.note((*where, key), "policy.type", f"{key} is not a string")
            return None
        return value

    def note(
        self,
        where: tuple[object, ...],
        code: str,
        detail: str,
        hint: str = "",
        *,
        line: int | None = None,
    ) -> None:
        """A problem at the line of `where`, or of the nearest table around it that has one."""
        while line is None and where:
            line = self.lines.get(where)
            where = where[:-1]
        self.problems.append(Problem(line, code, detail, hint))


def _lines(text: str) -> dict[tuple[object, ...], int]:
    """The line of each table and key: ("issuers", 0), ("issuers", 0, "did"), ("require", "checks"), ("version",)."""
    found: dict[tuple[object, ...], int] = {}
    counts: dict[str, int] = {}
    where: tuple[object, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header and header[1]:
            index = counts.get(header[1], 0)
            counts[header[1]] = index + 1
            found.setdefault((header[1],), number)
            where = (header[1], index)
        elif header:
            where = (header[2],)
        elif key:
            found.setdefault((*where, key[1]), number)
            continue
        else:
            continue
        found.setdefault(where, number)
    return found
