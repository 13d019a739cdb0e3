"""How facts are written for people: times, numbers, names that an outsider chose.

What comes from outside is shown on one line and cannot move the cursor: characters that do not print are escaped.
"""

from __future__ import annotations

import os
import time as clock
from collections.abc import Iterable, Sequence

from tallystick.record import CLOCK_UNSET_BELOW
from tallystick_host import limits

__all__ = [
    "columns",
    "plural",
    "rfc3339",
    "runs",
    "rfc3339_ms",
    "scaled",
    "shown",
    "shown_path",
    "span",
]

_LAST_MS = 253_402_300_799_999  # the end of the year 9999, where RFC 3339 ends


def rfc3339_ms(time_ms: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC, the fraction only where there is one; beyond the year 9999 as a number."""
    if time_ms > _LAST_MS:
        return f"{time_ms // 1000} s"
    seconds, ms = divmod(time_ms, 1000)
    year, month, day, hour, minute, second, *_ = clock.gmtime(seconds)
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    return f"{text}.{ms:03}Z" if ms else f"{text}Z"


def rfc3339(time: int) -> str:
    """Unix seconds as RFC 3339 in UTC; what a board counted since its start is shown as that."""
    if time < CLOCK_UNSET_BELOW:
        return f"start + {time} s"
    return rfc3339_ms(time * 1000)


def scaled(value: int, exponent: int) -> str:
    """value x 10^exponent, exactly, without an exponent: (215, -1) is "21.5"."""
    from decimal import Decimal

    return f"{Decimal(value).scaleb(exponent):f}"


def shown(text: str, limit: int = limits.TEXT_CHARS) -> str:
    """An outsider's text on one line: characters that do not print are escaped, the rest is cut."""
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in cut
    )


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path as text, whatever bytes its name has."""
    return shown(os.fsencode(path).decode("utf-8", "backslashreplace"), limit=4096)


def plural(count: int, noun: str) -> str:
    """1 reading, 2 readings."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def runs(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending numbers as ranges (first, last): 2, 3, 5 are (2, 3), (5, 5)."""
    found: list[tuple[int, int]] = []
    for seq in seqs:
        if found and found[-1][1] == seq - 1:
            found[-1] = found[-1][0], seq
        else:
            found.append((seq, seq))
    return found


def span(first: int, last: int) -> str:
    """4, or 4..9."""
    return str(first) if first == last else f"{first}..{last}"


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (indent + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
