"""Readings as rows: what a proof's records say, scaled by the signed `open` in force (docs/format.md, section 4).

Values are decimal numbers, exactly as signed: 215 x 10^-1 is 21.5. A time is the board's own claim. Nothing is
verified here: ask `tallystick.verify` first, or let `tallystick.open` do so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from tallystick import timestamp
from tallystick.body import Channel, Open, Readings
from tallystick.errors import FormatError
from tallystick.proof import Proof
from tallystick.record import Record

__all__ = ["Reading", "columns", "readings", "time_text"]


class Reading(NamedTuple):
    """One reading of all channels. `time_ms`: milliseconds since 1970 if `clock_set`, else since the board started.
    `values`: by column name, None where there is none.
    """

    seq: int
    time_ms: int
    clock_set: bool
    values: dict[str, Decimal | None]

    @property
    def time(self) -> str | None:
        """RFC 3339 in UTC, None while the clock was not set."""
        return time_text(self.time_ms) if self.clock_set else None


def time_text(time_ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339: 2026-11-20T14:00:00.250Z, the fraction only where there is one."""
    seconds, ms = divmod(time_ms, 1000)
    text = timestamp.text(seconds)
    return f"{text[:-1]}.{ms:03}Z" if ms else text


def columns(channels: Sequence[Channel]) -> list[str]:
    """The names of their columns: `temperature [Cel]`; a name that comes twice gets a number."""
    names: list[str] = []
    for one in channels:
        name = f"{one.name} [{one.unit}]"
        count = 1
        while name in names:
            count += 1
            name = f"{one.name} [{one.unit}] {count}"
        names.append(name)
    return names


def readings(proof: Proof) -> Iterator[Reading]:
    """Every reading of the proof's records, in order; `FormatError` (`reading.open`) if the `open` of one is not in
    the file, or does not fit it.
    """
    every = (*proof.opens, *proof.links, *proof.records)
    opens = {one.seq: one.body for one in every if isinstance(one.body, Open)}
    named: dict[int, list[str]] = {}
    for record in proof.records:
        if not isinstance(record.body, Readings):
            continue
        boot = record.body.boot
        opened = opens.get(boot)
        if opened is None or len(opened.channels) != len(record.body.columns):
            raise FormatError(
                "reading.open",
                f"seq {record.seq}: its open {boot} is not in the file, or does not fit it",
            )
        names = named.setdefault(boot, columns(opened.channels))
        yield from _rows(record, record.body, opened, names)


def _rows(record: Record, body: Readings, opened: Open, names: Sequence[str]) -> Iterator[Reading]:
    steps = [body.interval] * (body.count - 1) if isinstance(body.interval, int) else body.interval
    scaled = [
        [None if value is None else Decimal(value).scaleb(channel.exponent) for value in column]
        for channel, column in zip(opened.channels, body.columns, strict=True)
    ]
    time_ms = record.time * 1000
    for index, values in enumerate(zip(*scaled, strict=True)):
        if index:
            time_ms += steps[index - 1] * opened.tick_ms
        yield Reading(record.seq, time_ms, record.clock_set, dict(zip(names, values, strict=True)))
