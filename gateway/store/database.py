"""The database file: opened by the one process that writes, or by any number that read.

WAL with synchronous=FULL: when `transaction` returns, a power cut loses nothing of it. What a reader
sees within `snapshot` is of one moment.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from tallystick_gateway.folder import PRIVATE_MODE, FolderError

__all__ = ["Database"]

VERSION: Final = 4
_SCRIPTS: Final = {
    0: (VERSION, Path(__file__).with_name("schema.sql")),
    1: (2, Path(__file__).with_name("from-1-to-2.sql")),
    2: (3, Path(__file__).with_name("from-2-to-3.sql")),
    3: (4, Path(__file__).with_name("from-3-to-4.sql")),
}
_BUSY_TIMEOUT_S: Final = 2.0
_COPY_STEPS: Final = 100_000  # of the database's machine, between two looks at a copy
CACHE_KIB: Final = 32_768  # of the writer: the pages of thousands of chains' ends stay in memory


class Database:
    """A connection, for its writer (`open`) or for a reader (`read`)."""

    def __init__(self, database: sqlite3.Connection, *, writes: bool = False) -> None:
        self._db = database
        self._writes = writes

    @classmethod
    def open(cls, path: Path) -> Self:
        """The database for the one process that writes; made if it is not there."""
        # made in one thread and then used by another, never by two at a time
        database = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        while version in _SCRIPTS:
            version, script = _SCRIPTS[version]
            sql = script.read_text(encoding="utf-8")
            database.executescript(f"BEGIN;\n{sql}\nPRAGMA user_version = {version};\nCOMMIT;")
        if version != VERSION:
            database.close()
            raise _other_version(path, version)
        database.execute("PRAGMA foreign_keys = ON")
        return cls(database, writes=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The database for reading only; `FolderError` if there is none."""
        if not path.is_file():
            raise FolderError(
                f"no database at {str(path)!r}", hint="the gateway has not been run there yet"
            )
        try:
            return cls(_read_only(path, "mode=ro"))
        except sqlite3.OperationalError:
            # WAL wants to write beside the file; where nobody can, nobody else writes either
            return cls(_read_only(path, "mode=ro&immutable=1"))

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def copy_to(self, path: Path, progress: Callable[[int, int], None]) -> None:
        """A durable copy of one moment at `path`, which must not be there, while others read and
        write. `progress(done, all)` in bytes is called now and then.
        """
        pages, size = (self._one(f"PRAGMA {name}")[0] for name in ("page_count", "page_size"))

        def tell() -> int:
            if path.exists():
                progress(path.stat().st_size, pages * size)
            return 0

        self._db.set_progress_handler(tell, _COPY_STEPS)
        try:
            # the online backup begins again with every commit of another process; this does not
            self._db.execute("VACUUM INTO ?", (str(path),))
        finally:
            self._db.set_progress_handler(None, 0)
        path.chmod(PRIVATE_MODE)
        with path.open("rb+") as file:
            os.fsync(file.fileno())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it is durable when this returns, or nothing is."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._finish()
            self._db.execute("COMMIT")
        except BaseException:
            self._forget()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _finish(self) -> None:
        """Called before a transaction's end: what waits in memory goes in."""

    def _forget(self) -> None:
        """Called when a transaction failed: what is in memory may not be in the database."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read within is of one moment."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def _one(self, sql: str, *values: object) -> Any:
        return self._db.execute(sql, values).fetchone()


def _read_only(path: Path, mode: str) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.resolve().as_uri()}?{mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute("SELECT count(*) FROM facts").fetchone()
    except sqlite3.OperationalError:
        database.close()
        raise
    if version != VERSION:
        database.close()
        raise _other_version(path, version)
    return database


def _other_version(path: Path, version: int) -> FolderError:
    return FolderError(
        f"{str(path)!r} has version {version}, this program knows {VERSION}",
        hint="start the service of this program on it once, or use the program that wrote it",
    )
