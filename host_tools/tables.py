"""Readings as a table for other people's tools: one row a reading, the verdict in each.

`time` is RFC 3339 in UTC by the board's own clock, empty before it was set; `device` the board's id; `seq` the record;
`verdict` the verdict on the proof in one word; `not_before` and `not_after` what the ledger proves. Behind them a
column a channel, `temperature [Cel]`; digits as signed in CSV, doubles in Parquet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tallystick import reading
from tallystick.proof import Proof
from tallystick.reading import Reading
from tallystick.verdict import Verdict
from tallystick_host.errors import UndoneError
from tallystick_host.words import rfc3339

__all__ = ["Table", "as_csv", "as_parquet", "table"]

FIXED: Final = ("time", "device", "seq", "verdict", "not_before", "not_after")


@dataclass(frozen=True)
class Table:
    """The rows, and the names of the channels' columns in the order in which they first come."""

    channels: tuple[str, ...]
    rows: tuple[tuple[str | None, str, int, str, str | None, str | None, Reading], ...]


def table(proof: Proof, verdict: Verdict) -> Table:
    """All readings of a proof; `FormatError` (`reading.open`) if their meaning is not in the file."""
    device = proof.credential.device_key.kid.hex() if proof.credential else ""
    bounds = [None if t is None else rfc3339(t) for t in (verdict.not_before, verdict.not_after)]
    names: dict[str, None] = {}
    rows = []
    for one in reading.readings(proof):
        names.update(dict.fromkeys(one.values))
        rows.append((one.time, device, one.seq, str(verdict.status), bounds[0], bounds[1], one))
    return Table(tuple(names), tuple(rows))


def as_csv(given: Table) -> bytes:
    """RFC 4180, with a header, UTF-8, lines that end in CR LF."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([*FIXED, *map(_plain, given.channels)])
    for *fixed, one in given.rows:
        values = (one.values.get(name) for name in given.channels)
        writer.writerow(["" if v is None else v for v in fixed] + [_digits(v) for v in values])
    return out.getvalue().encode()


def as_parquet(given: Table) -> bytes:
    """An Apache Parquet file: times as UTC timestamps with milliseconds, values as doubles; units stand in the names.

    `UndoneError` if pyarrow is not installed: it is larger than all the rest, and few need it.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UndoneError(
            "Parquet files need pyarrow, which is not installed",
            code="export.pyarrow",
            hint="pip install 'tallystick[parquet]', or --to csv, which every tool reads",
        ) from error
    instant = pa.timestamp("ms", tz="UTC")
    columns: dict[str, Any] = {
        "time": pa.array([r[-1].time_ms if r[-1].clock_set else None for r in given.rows], instant)
    }
    kinds = {"device": pa.string(), "seq": pa.int64(), "verdict": pa.string()}
    for number, (name, kind) in enumerate(kinds.items(), 1):
        columns[name] = pa.array([row[number] for row in given.rows], kind)
    for number, name in ((4, "not_before"), (5, "not_after")):
        columns[name] = pa.array([row[number] for row in given.rows], pa.string())
    for name in given.channels:
        columns[name] = pa.array(list(_floats(given.rows, name)), pa.float64())
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def _floats(rows: Sequence[Any], name: str) -> Iterator[float | None]:
    for row in rows:
        value = row[-1].values.get(name)
        yield None if value is None else float(value)


def _digits(value: Decimal | None) -> str:
    return "" if value is None else f"{value:f}"


def _plain(name: str) -> str:
    # stops a channel that is called =CMD(...) from being run by a spreadsheet
    return f"'{name}" if name[:1] in "=+-@" else name
