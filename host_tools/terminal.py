"""The rules of the terminal.

* stdout is data, stderr is talk.
* An error is one line `error: ...`, lower case, without a full stop, then `hint: ...` with what to do.
* Colour only where a person looks: a terminal, and no NO_COLOR.
* Whoever closes our stdout early (`| head`) gets silence, not a traceback.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Final, TextIO

from tallystick_host.words import shown

__all__ = [
    "OutputClosedError",
    "can_progress",
    "data",
    "error",
    "hint",
    "json_line",
    "styled",
    "talk",
    "warning",
]

_COLOURS = {
    "VERIFIED": "green",
    "TAMPERED": "red",
    "PENDING": "yellow",
    "UNTRUSTED": "magenta",
    "UNDECIDED": "yellow",
}
_NUMBERS: Final = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}
_STYLE: Final = re.compile("\x1b\\[[0-9;]*m")


class OutputClosedError(Exception):
    """Nobody reads our stdout any more."""


def data(line: str = "") -> None:
    """A line of data, on stdout."""
    try:
        _write(sys.stdout, line)
    except BrokenPipeError as error:
        raise OutputClosedError from error


def json_line(facts: Mapping[str, object]) -> None:
    """One JSON object on one line of stdout."""
    import json

    data(json.dumps(facts, ensure_ascii=False))


def talk(line: str) -> None:
    """A line for the person, on stderr."""
    _write(sys.stderr, line)


def warning(text: str) -> None:
    """`warning: ...`"""
    talk(f"warning: {text}")


def error(text: str, code: str = "") -> None:
    """`error: ...`, and the stable code in brackets."""
    one_line = shown(text, limit=2000)
    talk(f"{styled('error:', 'red')} {one_line}" + (f" ({code})" if code else ""))


def hint(text: str) -> None:
    """`hint: ...`"""
    talk(f"hint: {text}")


def styled(text: str, colour: str = "") -> str:
    """`text` in `colour`, or in that of a verdict; `data` and `talk` take colours off again where nobody sees them."""
    number = _NUMBERS.get(colour or _COLOURS.get(text, ""))
    start = "\x1b[1m" if number is None else f"\x1b[{number}m\x1b[1m"
    return f"{start}{text}\x1b[0m"


def can_progress() -> bool:
    """Is there a person at stderr to look at a progress bar?"""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _write(stream: TextIO, line: str) -> None:
    if os.environ.get("NO_COLOR") or not stream.isatty():
        line = _STYLE.sub("", line)
    try:
        stream.write(f"{line}\n")
    except UnicodeEncodeError:  # a terminal of another age: escapes instead of nothing
        encoding = stream.encoding or "ascii"
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
