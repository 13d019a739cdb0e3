"""Copies of a ledger's database in one file: backups, to come back; snapshots, for a node that follows.

A copy is of one moment, and can be made while the ledger runs. It holds no key. A snapshot is a copy of which all
has been pruned that can be. A file is complete or absent: it gets its name when it is on the disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from tallystick_ledger import database
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.prune import STEP, prunable, prune
from tallystick_ledger.store import Store

__all__ = ["backup", "snapshot"]

_PAGES = 4_096
_FOR_EVER = 2**40

Step = Callable[[int, int], None]


def backup(source: Path, target: Path, step: Step) -> None:
    """Copy the database at `source` to the new file `target`; `step` is told (done, of) pages."""
    _make(source, target, step, small=False)


def snapshot(source: Path, target: Path, step: Step) -> None:
    """The same, pruned."""
    _make(source, target, step, small=True)


def _make(source: Path, target: Path, step: Step, *, small: bool) -> None:
    if target.exists():
        raise LedgerError(f"'{target}' exists already", hint="choose another name")
    draft = target.with_name(f".{target.name}.new")
    draft.unlink(missing_ok=True)
    try:
        _copy(source, draft, step)
        if small:
            _shrink(draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(target)
    except OSError as error:
        raise LedgerError(f"cannot write '{target}': {error.strerror}") from error
    except sqlite3.Error as error:
        raise LedgerError(f"cannot copy '{source}': {error}") from error
    finally:
        for leftover in (
            draft,
            Path(f"{draft}-wal"),
            Path(f"{draft}-shm"),
            Path(f"{draft}-journal"),
        ):
            leftover.unlink(missing_ok=True)


def _copy(source: Path, draft: Path, step: Step) -> None:
    here = database.connect(source, "ro")
    try:
        there = sqlite3.connect(draft)
        try:
            here.backup(
                there, pages=_PAGES, progress=lambda _, left, of: step(of - left, of), sleep=0.01
            )
            # one file, without a log beside it
            there.execute("PRAGMA journal_mode = DELETE")
        finally:
            there.close()
    finally:
        here.close()


def _shrink(draft: Path) -> None:
    with Store.writing(draft) as store:
        upto = prunable(store, _FOR_EVER)
        while prune(store, upto, STEP):
            pass
        store.connection.execute("VACUUM")
        store.connection.execute("PRAGMA journal_mode = DELETE")
