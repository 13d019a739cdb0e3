"""The ledger's blocks, milestones and tree nodes in SQLite.

* `Reader` opens the file read-only and sees one moment of it; `Store` is the one writer.
* WAL with `synchronous=FULL`: what `commit` has returned from survives a power cut.
* The head moves by compare-and-set on (index, size, root): a second writer, or a database that is not
  what the writer believes, ends in `ForkError` before anything is published.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tallystick import block, merkle
from tallystick.block import Block, BlockKind
from tallystick.keys import ED25519, PublicKey
from tallystick.milestone import Confirmed, Milestone
from tallystick.milestone import parse as parse_milestone
from tallystick_ledger import tree
from tallystick_ledger.admission import Subject
from tallystick_ledger.errors import ForkError, LedgerError

__all__ = ["Head", "Reader", "Store"]

VERSION: Final = 1  # PRAGMA user_version
_BUSY_MS: Final = 5_000
_SCHEMA: Final = Path(__file__).with_name("schema.sql")
_OUTSIDERS: Final = f"kind IN ({BlockKind.ANCHOR.value}, {BlockKind.STATEMENT.value})"


@dataclass(frozen=True)
class Head:
    """The newest milestone's index, size and root; index 0 and the empty tree before the first."""

    index: int
    size: int
    root: bytes


class Reader:
    """What is in the database. A `Reader` of its own (`Reader.open`) never writes and serves one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        row = connection.execute("SELECT id, key FROM ledger").fetchone()
        self.ledger = bytes(row[0])
        self.key = PublicKey.from_bytes(row[1], ED25519)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The database as it is at this moment, read-only, until the block ends."""
        connection = _connect(path, "ro")
        try:
            connection.execute("BEGIN")
            yield cls(connection)
        finally:
            connection.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """For queries that go through everything."""
        return self._db

    def head(self) -> Head:
        """The newest milestone."""
        row = self._db.execute("SELECT head_index, head_size, head_root FROM ledger").fetchone()
        return Head(*row)

    def announced(self) -> int:
        """Receipts of all positions below this one are at the broker."""
        return int(self._db.execute("SELECT announced FROM ledger").fetchone()[0])

    def has(self, block_id: bytes) -> bool:
        """Is the block attached?"""
        found = self._db.execute("SELECT 1 FROM blocks WHERE id = ?", (block_id,))
        return found.fetchone() is not None

    def raw(self, block_id: bytes) -> bytes | None:
        """The exact bytes of a block."""
        row = self._db.execute("SELECT raw FROM blocks WHERE id = ?", (block_id,)).fetchone()
        return None if row is None else bytes(row[0])

    def pending(self) -> Iterator[bytes]:
        """The bytes of the unconfirmed blocks, in order of arrival."""
        query = "SELECT raw FROM blocks WHERE position IS NULL ORDER BY arrival"
        return (row[0] for row in self._db.execute(query))

    def pending_count(self) -> int:
        """How many blocks no milestone has confirmed."""
        query = "SELECT count(*) FROM blocks WHERE position IS NULL"
        return int(self._db.execute(query).fetchone()[0])

    def milestone(self, index: int) -> Milestone | None:
        """The milestone with this index."""
        row = self._db.execute(
            "SELECT raw FROM blocks JOIN milestones ON block = id WHERE number = ?", (index,)
        ).fetchone()
        return None if row is None else parse_milestone(row[0])

    def checkpoint(self, index: int) -> bytes | None:
        """The signed note of the milestone with this index."""
        row = self._db.execute(
            "SELECT checkpoint FROM milestones WHERE number = ?", (index,)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def confirmed(self, block_id: bytes) -> Confirmed | None:
        """The block with its proof in the milestone that confirmed it; None until one has."""
        row = self._db.execute(
            "SELECT raw, position, milestone FROM blocks WHERE id = ? AND position IS NOT NULL",
            (block_id,),
        ).fetchone()
        if row is None:
            return None
        raw, position, number = row
        milestone = self.milestone(number)
        if milestone is None:
            raise LedgerError(
                f"milestone {number} is missing", hint="run tally-ledger fsck and restore a backup"
            )
        path = tree.path(self.node, position, milestone.size)
        return Confirmed(block.parse(raw), position, tuple(path), milestone)

    def node(self, level: int, place: int) -> bytes:
        """The hash of a complete subtree."""
        row = self._db.execute(
            "SELECT hash FROM nodes WHERE level = ? AND place = ?", (level, place)
        ).fetchone()
        if row is None:
            raise LedgerError(
                f"tree node {level}/{place} is missing",
                hint="run tally-ledger fsck and restore a backup",
            )
        return bytes(row[0])

    def outsiders_confirmed(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        """(position, id) of the anchors and statements confirmed at `start` and after."""
        query = (
            f"SELECT position, id FROM blocks WHERE position >= ? AND {_OUTSIDERS}"  # noqa: S608
            " ORDER BY position LIMIT ?"
        )
        return [(row[0], row[1]) for row in self._db.execute(query, (start, limit))]

    def export(self, start: int, limit: int) -> Iterator[bytes]:
        """The bytes of the confirmed blocks in order, from position `start` on."""
        query = "SELECT raw FROM blocks WHERE position >= ? ORDER BY position LIMIT ?"
        return (row[0] for row in self._db.execute(query, (start, limit)))

    def statements(self, device: bytes, start: int, limit: int) -> Iterator[bytes]:
        """Ids of blocks with statements about `device`, each at its first position, from `start` on."""
        query = """
            SELECT id FROM blocks AS b
            WHERE kind = ? AND subject = ? AND position >= ? AND NOT EXISTS
                (SELECT 1 FROM blocks WHERE digest = b.digest AND position < b.position)
            ORDER BY position LIMIT ?"""
        found = self._db.execute(query, (BlockKind.STATEMENT.value, device, start, limit))
        return (row[0] for row in found)

    def newest_anchor(self, gateway: bytes) -> bytes | None:
        """Id of the block with the newest confirmed anchor of `gateway`; a note counts where it first stood."""
        query = """
            SELECT id FROM blocks AS b
            WHERE kind = ? AND subject = ? AND position IS NOT NULL AND NOT EXISTS
                (SELECT 1 FROM blocks WHERE digest = b.digest AND position < b.position)
            ORDER BY position DESC LIMIT 1"""
        row = self._db.execute(query, (BlockKind.ANCHOR.value, gateway)).fetchone()
        return None if row is None else bytes(row[0])

    def gateway_of(self, block_id: bytes) -> bytes | None:
        """The gateway whose anchor this block is."""
        row = self._db.execute(
            "SELECT subject FROM blocks WHERE id = ? AND kind = ?",
            (block_id, BlockKind.ANCHOR.value),
        ).fetchone()
        return None if row is None else row[0]

    def gateways(self, limit: int) -> list[bytes]:
        """Gateways that anchors name, in order of their ids."""
        # steps from one to the next in the index: does not read every anchor
        query = """
            WITH RECURSIVE step (id) AS (
                SELECT min(subject) FROM blocks WHERE kind = :kind
                UNION ALL
                SELECT (SELECT min(subject) FROM blocks WHERE kind = :kind AND subject > step.id)
                FROM step WHERE step.id IS NOT NULL)
            SELECT id FROM step WHERE id IS NOT NULL LIMIT :limit"""
        found = self._db.execute(query, {"kind": BlockKind.ANCHOR.value, "limit": limit})
        return [row[0] for row in found]


class Store(Reader):
    """The one writer. All writing happens inside `transaction`."""

    @classmethod
    def create(cls, path: Path, key: PublicKey, genesis: bytes) -> None:
        """A new database that holds the genesis block; `path` must not exist."""
        connection = _connect(path, "rwc")
        try:
            connection.executescript(_SCHEMA.read_text())
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT INTO ledger VALUES (1, ?, ?, 0, 0, ?, 0)",
                (block.ledger_id(genesis), key.raw, merkle.EMPTY_ROOT),
            )
            cls(connection).attach(block.parse(genesis), None)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        finally:
            connection.close()

    @classmethod
    @contextmanager
    def writing(cls, path: Path) -> Iterator[Self]:
        """The database for its one writer, for use by the thread that enters."""
        connection = _connect(path, "rw")
        try:
            _set_up(connection)
            yield cls(connection)
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; what is inside is durable when the block has ended."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def attach(self, attached: Block, subject: Subject | None) -> None:
        """Keep a block, not yet confirmed."""
        self._db.execute(
            "INSERT INTO blocks (id, kind, subject, digest, raw) VALUES (?, ?, ?, ?, ?)",
            (
                attached.id,
                attached.kind.value,
                None if subject is None else subject.id,
                None if subject is None else subject.digest,
                attached.raw,
            ),
        )

    def append(
        self,
        expected: Head,
        milestone: Milestone,
        checkpoint: bytes,
        confirmed: Iterable[bytes],
        nodes: dict[tuple[int, int], bytes],
        announced: int,
    ) -> None:
        """Make `milestone` the head if `expected` still is; `ForkError` otherwise."""
        moved = self._db.execute(
            "UPDATE ledger SET head_index = ?, head_size = ?, head_root = ?, announced = ?"
            " WHERE head_index = ? AND head_size = ? AND head_root = ?",
            (
                *(milestone.index, milestone.size, milestone.root, announced),
                *(expected.index, expected.size, expected.root),
            ),
        )
        if moved.rowcount != 1:
            raise ForkError(
                f"the database has moved on from milestone {expected.index}",
                hint="another process writes to this folder: end it, then start again",
            )
        self.attach(milestone.block, None)
        self._db.execute(
            "INSERT INTO milestones VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(milestone.index, milestone.id, milestone.size, milestone.root, milestone.time),
                checkpoint,
            ),
        )
        self._db.executemany(
            "UPDATE blocks SET position = ?, milestone = ? WHERE id = ? AND position IS NULL",
            (
                (position, milestone.index, block_id)
                for position, block_id in enumerate(confirmed, expected.size)
            ),
        )
        self._db.executemany(
            "INSERT INTO nodes VALUES (?, ?, ?)", ((*at, value) for at, value in nodes.items())
        )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    if mode != "rwc" and not path.is_file():
        raise LedgerError(f"no ledger at '{path}'", hint="run tally-ledger init --dir DIR")
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_MS / 1000,
        )
        if mode == "rwc":
            _set_up(connection)
            return connection
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise LedgerError(f"cannot open '{path}': {error}") from error
    if version != VERSION:
        connection.close()
        raise LedgerError(
            f"'{path}' has version {version}, this program reads {VERSION}",
            hint="use the release that wrote it, or a newer one",
        )
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
