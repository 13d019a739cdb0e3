"""What `tally prove` is asked for: a seq, a moment, or a range of seqs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from tallystick import limits
from tallystick_host.errors import UseError

__all__ = ["AtSeq", "AtTime", "Between", "During", "Question", "parse"]

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
class During:
    """All records with readings from `start` to `end`, both included, by the board's clock (Unix seconds)."""

    start: int
    end: int


@dataclass(frozen=True)
class AtTime:
    """The record that holds the reading of this moment, by the board's clock (Unix seconds)."""

    time: int


Question: TypeAlias = AtSeq | Between | AtTime | During


def parse(text: str) -> Question:
    """40, 40..52, 2026-11-20T14:00:00Z, or two such times with .. between them; `UseError` otherwise."""
    if _SEQ.fullmatch(text):
        return AtSeq(_seq(text))
    match = _RANGE.fullmatch(text)
    if match:
        first, last = _seq(match[1]), _seq(match[2])
        if last < first:
            raise UseError(f"{text!r} ends before it starts")
        return Between(first, last)
    start, dots, end = text.partition("..")
    if dots:
        first_time, last_time = _moment(start), _moment(end)
        if last_time < first_time:
            raise UseError(f"{text!r} ends before it starts")
        return During(first_time, last_time)
    return AtTime(_moment(text))


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UseError(
            f"{text!r} is neither a seq, a range A..B, nor a time",
            hint="for example 40, 40..52, 2026-11-20T14:00:00Z, 2026-11-20T14:00Z..2026-11-20T15:00Z",
        ) from error
    if moment.tzinfo is None:
        raise UseError(
            f"{text!r} is a time without a zone", hint="end it in Z for UTC, or in +01:00"
        )
    time = int(moment.timestamp())
    if time < 0:
        raise UseError(f"{text!r} lies before 1970")
    return time


def _seq(digits: str) -> int:
    if int(digits) > limits.SEQ:
        raise UseError(f"{digits} is above the highest seq, {limits.SEQ}")
    return int(digits)
