"""What `tally prove` is asked for: a seq, a moment, or a range of seqs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from tallystick import limits
from tallystick_host.errors import UseError

__all__ = ["AtSeq", "AtTime", "Between", "Question", "parse"]

_SEQ: Final = re.compile("[0-9]{1,13}", re.ASCII)
_RANGE: Final = re.compile(r"([0-9]{1,13})\.\.([0-9]{1,13})", re.ASCII)


@dataclass(frozen=True)
class AtSeq:
    """The record of this seq."""

    seq: int


@dataclass(frozen=True)
class Between:
    """All records from `first` to `last`, both included."""

    first: int
    last: int


@dataclass(frozen=True)
class AtTime:
    """The record that holds the reading of this moment, by the board's clock (Unix seconds)."""

    time: int


Question: TypeAlias = AtSeq | Between | AtTime


def parse(text: str) -> Question:
    """40, 40..52 or 2026-11-20T14:00:00Z; `UseError` otherwise."""
    if _SEQ.fullmatch(text):
        return AtSeq(_seq(text))
    match = _RANGE.fullmatch(text)
    if match:
        first, last = _seq(match[1]), _seq(match[2])
        if last < first:
            raise UseError(f"{text!r} ends before it starts")
        return Between(first, last)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UseError(
            f"{text!r} is neither a seq, a range A..B, nor a time",
            hint="for example 40, 40..52, 2026-11-20T14:00:00Z",
        ) from error
    if moment.tzinfo is None:
        raise UseError(
            f"{text!r} is a time without a zone", hint="end it in Z for UTC, or in +01:00"
        )
    time = int(moment.timestamp())
    if time < 0:
        raise UseError(f"{text!r} lies before 1970")
    return AtTime(time)


def _seq(digits: str) -> int:
    if int(digits) > limits.SEQ:
        raise UseError(f"{digits} is above the highest seq, {limits.SEQ}")
    return int(digits)
