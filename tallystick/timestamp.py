"""Moments as JSON documents write them: `2026-11-20T14:00:00Z` (RFC 3339, XML Schema dateTimeStamp).

We write whole seconds in UTC and nothing else. A stranger's document may have a fraction, which is cut off, and
an offset.

>>> seconds("2026-11-20T15:00:00+01:00") == seconds("2026-11-20T14:00:00Z")
True
"""

from __future__ import annotations

import re
from typing import Final

from tallystick.errors import FormatError

__all__ = ["seconds", "text"]

_FORM: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_DAY_S: Final = 86_400
_LAST: Final = 253_402_300_799  # the end of the year 9999


def text(time: int) -> str:
    """Unix seconds in 0..9999-12-31T23:59:59Z as text; `FormatError` beyond."""
    if not 0 <= time <= _LAST:
        raise FormatError("field.range", f"{time} is no moment from 1970 to 9999")
    days, second = divmod(time, _DAY_S)
    year, month, day = _civil(days)
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f"{year:04}-{month:02}-{day:02}T{clock}Z"


def seconds(value: object, what: str = "a time") -> int:
    """Unix seconds of a text; `FormatError` if it is no moment from 1970 to 9999."""
    match = _FORM.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise FormatError("field.time", f"{what} is not a time like 2026-11-20T14:00:00Z")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    days = _days(year, month, day)
    ahead = 0
    if match[7]:
        ahead = (int(match[8]) * 3600 + int(match[9]) * 60) * (1 if match[7] == "+" else -1)
    time = days * _DAY_S + hour * 3600 + minute * 60 + second - ahead
    # stops 31 February and 24:61 from meaning another moment to another reader
    exists = 1 <= month <= 12 and _civil(days) == (year, month, day)
    in_a_day = hour < 24 and minute < 60 and second < 60 and abs(ahead) <= 14 * 3600
    if not exists or not in_a_day or not 0 <= time <= _LAST:
        raise FormatError("field.time", f"{what} is no moment from 1970 to 9999")
    return time


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar; the year starts in March, so that the leap day is its last."""
    y, m = (year, month - 3) if month > 2 else (year - 1, month + 9)
    return 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 + day - 719_469


def _civil(days: int) -> tuple[int, int, int]:
    """The inverse of `_days`."""
    era, in_era = divmod(days + 719_468, 146_097)
    y = (in_era - in_era // 1460 + in_era // 36_524 - in_era // 146_096) // 365
    in_year = in_era - (365 * y + y // 4 - y // 100)
    m = (5 * in_year + 2) // 153
    day = in_year - (153 * m + 2) // 5 + 1
    year = y + era * 400
    return (year, m + 3, day) if m < 10 else (year + 1, m - 9, day)
