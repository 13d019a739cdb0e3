"""How the ledger's SQLite file is opened, and that it is one."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from tallystick_ledger.errors import LedgerError

__all__ = ["VERSION", "connect", "create"]

VERSION: Final = 2  # PRAGMA user_version
_BUSY_MS: Final = 5_000
_CACHE_KIB: Final = 32_768
_SCHEMA: Final = Path(__file__).with_name("schema.sql")


def create(path: Path) -> sqlite3.Connection:
    """A new database with empty tables."""
    connection = _open(path, "rwc")
    _set_up(connection)
    connection.executescript(_SCHEMA.read_text())
    connection.execute(f"PRAGMA user_version = {VERSION}")
    return connection


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """The database at `path`, `ro` or `rw`; `LedgerError` if it is none of ours."""
    if not path.is_file():
        raise LedgerError(f"no ledger at '{path}'", hint="run tally-ledger init --dir DIR")
    try:
        connection = _open(path, mode)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == VERSION and mode == "rw":
            _set_up(connection)
    except sqlite3.Error as error:
        raise LedgerError(f"cannot open '{path}': {error}") from error
    if version != VERSION:
        connection.close()
        raise LedgerError(
            f"'{path}' has version {version}, this program reads {VERSION}",
            hint="use the release that wrote it, or a newer one",
        )
    return connection


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=_BUSY_MS / 1000,
    )


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
