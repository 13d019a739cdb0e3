"""The rules of the terminal.

* stdout is data, stderr is talk.
* An error is one line `error: ...`, lower case, without a full stop, then `hint: ...` with what to do.
* Colour only where a person looks: a terminal, and no NO_COLOR.
* Whoever closes our stdout early (`| head`) gets silence, not a traceback.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

import click

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


class OutputClosedError(Exception):
    """Nobody reads our stdout any more."""


def data(line: str = "") -> None:
    """A line of data, on stdout."""
    try:
        click.echo(line, color=None if _coloured() else False)
    except BrokenPipeError as error:
        raise OutputClosedError from error


def json_line(facts: Mapping[str, object]) -> None:
    """One JSON object on one line of stdout."""
    data(json.dumps(facts, ensure_ascii=False))


def talk(line: str) -> None:
    """A line for the person, on stderr."""
    click.echo(line, err=True, color=None if _coloured() else False)


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
    return click.style(text, fg=colour or _COLOURS.get(text), bold=True)


def can_progress() -> bool:
    """Is there a person at stderr to look at a progress bar?"""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _coloured() -> bool:
    return not os.environ.get("NO_COLOR")
