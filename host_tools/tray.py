"""A tray of boards: a CSV file with a line for each, provisioned side by side, with a report that can be given again.

::

    port,name,board,interval_ms,batch,sensor
    /dev/ttyUSB0,tank-1,ESP32_GENERIC,10000,6,sensors.sht3x
    id:0123ABCD,tank-2,,,,

* `port` or `virtual` (the folder of a virtual board) in each line; the other columns may be empty or not there.
* A board that fails leaves the others alone, and is not in the enrolment file unless all of it is right.
* The report has the same lines and, added, `result` (done or failed), `id` and `reason`. Given as a tray, only what is
  not done is done.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tallystick_host import files, limits
from tallystick_host.enrolment import check_name
from tallystick_host.errors import HostError, UseError
from tallystick_host.words import shown, shown_path

__all__ = ["COLUMNS", "Row", "read", "report", "run"]

COLUMNS: Final = ("port", "virtual", "name", "board", "interval_ms", "batch", "sensor")
RESULTS: Final = ("result", "id", "reason")
DONE: Final = "done"
FAILED: Final = "failed"


@dataclass(frozen=True)
class Row:
    """A line of the tray. `result`: "" before anything was done."""

    port: str = ""
    virtual: str = ""
    name: str = ""
    board: str = ""
    interval_ms: str = ""
    batch: str = ""
    sensor: str = ""
    result: str = ""
    id: str = ""
    reason: str = ""

    @property
    def place(self) -> str:
        """What it is at, for messages."""
        return self.name or self.port or self.virtual

    def number(self, column: str) -> int | None:
        """A whole number of the line, None if the column is empty."""
        text: str = getattr(self, column)
        if text and not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
            raise UseError(f"{self.place}: {column} {text!r} is no number")
        return int(text) if text else None


def read(path: Path) -> list[Row]:
    """The lines of a tray or a report; `UseError` says which line is wrong."""
    name = shown_path(path)
    try:
        text = files.read(path, limits.TRAY_BYTES).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text), strict=True)
        columns = [column.strip() for column in reader.fieldnames or ()]
        unknown = [column for column in columns if column not in (*COLUMNS, *RESULTS)]
        if unknown:
            raise UseError(
                f"{name!r} has an unknown column {unknown[0]!r}",
                hint=f"there are {', '.join(COLUMNS)}",
            )
        if not {"port", "virtual"} & set(columns):
            raise UseError(f"{name!r} has no column port or virtual")
        reader.fieldnames = columns
        rows = []
        for number, line in enumerate(reader, start=2):
            # csv puts what is too much under None, and None for what is missing
            if None in line or None in line.values():
                raise UseError(f"{name!r}, line {number}: not {len(columns)} columns")
            row = Row(**{column: value.strip() for column, value in line.items()})
            if bool(row.port) == bool(row.virtual):
                raise UseError(f"{name!r}, line {number}: one of port and virtual is needed")
            if row.name:
                check_name(row.name)
            row.number("interval_ms")
            row.number("batch")
            rows.append(row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UseError(f"{name!r} is no CSV file: {error}") from error
    if not rows:
        raise UseError(f"{name!r} has no boards")
    for column in ("port", "virtual", "name"):
        seen = [value for row in rows if (value := getattr(row, column))]
        twice = next((value for value in seen if seen.count(value) > 1), None)
        if twice:
            raise UseError(f"{name!r} has the {column} {twice!r} twice")
    return rows


def run(
    rows: Sequence[Row], work: Callable[[Row], str], parallel: int
) -> Iterator[tuple[int, Row]]:
    """Do `work`, which gives the board's id, for each line that is not done; (index, result) as they end."""
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        waiting = {}
        for index, row in enumerate(rows):
            if row.result == DONE:
                yield index, row
            else:
                waiting[pool.submit(_one, row, work)] = index
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            # Ctrl-C: what has begun ends in good order, the rest does not begin
            pool.shutdown(cancel_futures=True)
            raise


def report(path: Path, rows: Sequence[Row]) -> None:
    """Write the lines with their results; replaced as one."""
    out = io.StringIO()
    used = [column for column in COLUMNS if any(getattr(row, column) for row in rows)]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*used, *RESULTS])
    for row in rows:
        writer.writerow([getattr(row, column) for column in (*used, *RESULTS)])
    files.replace(path, out.getvalue().encode())


def _one(row: Row, work: Callable[[Row], str]) -> Row:
    try:
        return replace(row, result=DONE, id=work(row), reason="")
    except HostError as error:
        code = f" ({error.code})" if error.code else ""
        return replace(row, result=FAILED, id="", reason=shown(f"{error.detail}{code}"))
    except OSError as error:
        return replace(row, result=FAILED, id="", reason=shown(error.strerror or str(error)))
