"""The bridge's database: notes to post, anchors that carry them, transactions that were signed.

* Nothing is sent that does not stand here first; nothing here is ever taken out.
* A note has at most one transaction that is not lost: the database itself refuses a second.
* Two threads use it, each with an `Outbox` of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from tallystick import transaction
from tallystick.account import Account, State
from tallystick.checkpoint import LOG_PREFIX, Checkpoint
from tallystick.settlement import Executed
from tallystick.transaction import Transaction
from tallystick_ledger.errors import LedgerError

__all__ = ["LOST", "Note", "Outbox", "Sent"]

VERSION: Final = 1  # PRAGMA user_version
LOST: Final = "lost"
_BUSY_S: Final = 10.0
_SCHEMA: Final = Path(__file__).with_name("schema.sql")
_SETTLED: Final = {
    State.EXECUTED: ("executed", "safe", "final"),
    State.SAFE: ("safe", "final"),
    State.FINAL: ("final",),
}


@dataclass(frozen=True)
class Note:
    """A note to post: `digest` is SHA-256 of its `text`."""

    digest: bytes
    origin: str
    size: int
    text: str

    @classmethod
    def of(cls, note: Checkpoint) -> Note:
        """What of a checkpoint is posted: its text, without the signature lines."""
        text = note.note.text
        return cls(sha256(text.encode()).digest(), note.origin, note.size, text)


@dataclass(frozen=True)
class Sent:
    """A transaction that was signed. `state` is a `State` or `LOST`; `executed` is what was last seen."""

    nonce: int
    digest: bytes
    state: str
    hash: bytes
    signed: int
    height: int
    executed: Executed | None
    sent: int


class Outbox:
    """The database, for use by the thread that opened it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.chain, self.key = connection.execute("SELECT chain, key FROM bridge").fetchone()

    @classmethod
    def create(cls, path: Path, chain: int, key: bytes) -> None:
        """A new, empty one; `path` must not exist."""
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA.read_text())
            connection.execute("INSERT INTO bridge VALUES (1, ?, ?, NULL)", (chain, key))
            connection.execute(f"PRAGMA user_version = {VERSION}")
        finally:
            connection.close()

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The database at `path`; `LedgerError` if there is none that this program reads."""
        connection = _connect(path)
        try:
            yield cls(connection)
        finally:
            connection.close()

    @classmethod
    def connect(cls, path: Path) -> Self:
        """The same for a thread that has it until the process ends."""
        return cls(_connect(path))

    @property
    def account(self) -> Account:
        """Who pays, on which chain."""
        return Account(self.chain, transaction.address_of(self.key))

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

    # ---- notes and the blocks that carry them

    def add_note(self, note: Note, now: int) -> None:
        """Keep a note to post, once."""
        self._db.execute(
            "INSERT OR IGNORE INTO notes (digest, origin, size, text, arrived) VALUES (?, ?, ?, ?, ?)",
            (note.digest, note.origin, note.size, note.text, now),
        )

    def add_block(self, name: bytes, note: Note, raw: bytes, now: int) -> None:
        """Keep an anchor that waits for its note's transaction."""
        self.add_note(note, now)
        self._db.execute(
            "INSERT OR IGNORE INTO blocks (id, digest, raw) VALUES (?, ?, ?)",
            (name, note.digest, raw),
        )

    def digest_of(self, block: bytes) -> bytes | None:
        """The digest of the note that this anchor carries; None for a block that is not here."""
        row = self._one("SELECT digest FROM blocks WHERE id = ?", block)
        return None if row is None else row[0]

    def waiting_blocks(self) -> int:
        """Anchors that none of our milestones confirms yet, those that a later one covers left out."""
        row = self._one(
            "SELECT count(*) FROM blocks JOIN notes USING (digest) WHERE done = 0 AND covered IS NULL"
        )
        return int(row[0]) if row else 0

    def settled_blocks(self, needed: State) -> list[tuple[bytes, bytes]]:
        """(id, bytes) of the waiting anchors whose transaction has reached `needed`."""
        return self._db.execute(
            "SELECT id, raw FROM blocks JOIN transactions USING (digest) WHERE done = 0"
            " AND state IN (SELECT value FROM json_each(?)) ORDER BY nonce, id",
            (json.dumps(_SETTLED[needed]),),
        ).fetchall()

    def confirm_block(self, name: bytes) -> None:
        """One of our milestones confirms it, durably."""
        self._db.execute("UPDATE blocks SET done = 1 WHERE id = ?", (name,))

    def covered(self, digest: bytes) -> bytes | None:
        """The digest of the note that was posted instead of this one."""
        row = self._one("SELECT covered FROM notes WHERE digest = ?", digest)
        return None if row is None else row[0]

    def candidates(self) -> list[Note]:
        """The newest note of each log that has no transaction; the log that has waited longest first.

        A log has one candidate: what is smaller and waits is covered by it, when it is posted.
        """
        rows = self._db.execute(
            """
            WITH open AS (
                SELECT *, min(arrived) OVER (PARTITION BY origin) AS since,
                    row_number() OVER (PARTITION BY origin ORDER BY size DESC, arrived) AS place
                FROM notes WHERE covered IS NULL AND NOT EXISTS (
                    SELECT 1 FROM transactions WHERE digest = notes.digest AND state <> 'lost'))
            SELECT digest, origin, size, text FROM open WHERE place = 1 ORDER BY since, origin
            """
        )
        return [Note(*row) for row in rows]

    def note(self, digest: bytes) -> Note:
        """The note with this digest, which is here."""
        row = self._one("SELECT digest, origin, size, text FROM notes WHERE digest = ?", digest)
        return Note(*row)

    # ---- transactions

    @property
    def next_nonce(self) -> int | None:
        """The number of the next transaction; None before the account was first looked up."""
        row = self._one("SELECT next_nonce FROM bridge")
        return None if row is None else row[0]

    def set_next_nonce(self, nonce: int) -> None:
        """What the next transaction will have."""
        self._db.execute("UPDATE bridge SET next_nonce = ?", (nonce,))

    def add_transaction(
        self, note: Note, nonce: int, name: bytes, raw: bytes, price: int, now: int, height: int
    ) -> None:
        """Keep a signed transaction (`name` is its hash) before it is sent: its nonce, and what it covers."""
        self._db.execute(
            "INSERT INTO transactions (nonce, digest, state, hash, signed, height)"
            " VALUES (?, ?, 'unknown', ?, ?, ?)",
            (nonce, note.digest, name, now, height),
        )
        self.add_attempt(nonce, name, raw, price)
        self.set_next_nonce(nonce + 1)
        # a smaller checkpoint of one log says nothing that the larger one does not; of the same size
        # with another root it is evidence, and is posted for itself
        self._db.execute(
            "UPDATE notes SET covered = ?1 WHERE origin = ?2 AND size < ?3 AND covered IS NULL"
            " AND digest NOT IN (SELECT digest FROM transactions WHERE state <> 'lost')",
            (note.digest, note.origin, note.size),
        )

    def add_attempt(self, nonce: int, name: bytes, raw: bytes, price: int) -> None:
        """Keep signed bytes; the newest attempt is the one that is sent again."""
        self._db.execute("INSERT INTO attempts VALUES (?, ?, ?, ?)", (name, nonce, str(price), raw))
        self._db.execute("UPDATE transactions SET hash = ? WHERE nonce = ?", (name, nonce))

    def attempts(self, nonce: int) -> list[tuple[bytes, int, bytes]]:
        """(hash, price, bytes) of what was signed for a nonce, the highest price first."""
        rows = self._db.execute("SELECT hash, price, raw FROM attempts WHERE nonce = ?", (nonce,))
        found = [(row[0], int(row[1]), row[2]) for row in rows]
        return sorted(found, key=lambda one: -one[1])

    def unsettled(self, spent: int) -> list[Sent]:
        """Those to look at now, by nonce: not safe yet, or the chain does not count them (`spent` is
        how many it has executed of this account).
        """
        return self._sent(
            "WHERE state NOT IN ('safe', 'final', 'lost') OR (nonce >= ? AND state <> 'lost')"
            " ORDER BY nonce",
            spent,
        )

    def settled_before(self, before: float, limit: int) -> list[Sent]:
        """Safe ones that were last looked at before then, those first that waited longest."""
        return self._sent(
            "WHERE state = 'safe' AND looked < ? ORDER BY looked LIMIT ?", before, limit
        )

    def in_flight(self) -> int:
        """How many no block has taken yet."""
        row = self._one("SELECT count(*) FROM transactions WHERE state IN ('unknown', 'accepted')")
        return int(row[0]) if row else 0

    def transaction_of(self, digest: bytes) -> Sent | None:
        """The transaction that carries this note."""
        found = self._sent("WHERE digest = ? AND state <> 'lost'", digest)
        return found[0] if found else None

    def reference(self, digest: bytes) -> Transaction | None:
        """The same as it goes into receipts and proofs."""
        row = self._one(
            "SELECT raw FROM transactions AS t JOIN attempts AS a ON a.hash = t.hash"
            " WHERE t.digest = ? AND state <> 'lost'",
            digest,
        )
        return None if row is None else transaction.signed(row[0], self.key)

    def posted(self, origin: str, size: int) -> tuple[str, Transaction] | None:
        """(text, transaction) of the earliest note of this log with at least `size` that was executed."""
        row = self._one(
            "SELECT text, digest FROM notes JOIN transactions USING (digest) WHERE origin = ?"
            " AND size >= ? AND state IN ('executed', 'safe', 'final') ORDER BY size LIMIT 1",
            origin,
            size,
        )
        if row is None:
            return None
        sent = self.reference(row[1])
        return None if sent is None else (row[0], sent)

    def update(
        self,
        sent: Sent,
        state: str,
        name: bytes,
        executed: Executed | None,
        fee: int | None,
        now: float,
    ) -> None:
        """What was just seen of a transaction."""
        moved = sent.executed is not None and executed != sent.executed
        number, block, time = (
            (executed.number, executed.block, executed.time) if executed else (None, None, None)
        )
        self._db.execute(
            "UPDATE transactions SET state = ?, hash = ?, number = ?, block = ?, time = ?,"
            " fee = coalesce(?, fee), moved = moved + ?, looked = ? WHERE nonce = ?",
            (
                *(state, name, number, block, time, None if fee is None else str(fee)),
                *(int(moved), now, sent.nonce),
            ),
        )

    def count_sending(self, nonce: int) -> None:
        """It was handed to a node once more."""
        self._db.execute("UPDATE transactions SET sent = sent + 1 WHERE nonce = ?", (nonce,))

    def last_signed(self) -> int | None:
        """When the newest transaction was signed, Unix seconds."""
        row = self._one("SELECT max(signed) FROM transactions")
        return None if row is None else row[0]

    def spent(self, since: int, assumed: int) -> int:
        """Fees of what was signed since then; `assumed` for each whose fee is not known yet."""
        rows = self._db.execute(
            "SELECT fee FROM transactions WHERE signed >= ? AND state <> 'lost'", (since,)
        )
        return sum(assumed if row[0] is None else int(row[0]) for row in rows)

    # ---- for people

    def counts(self) -> dict[str, int]:
        """How many notes wait or are covered by a later one, and transactions in each state."""
        waiting = self._one(
            "SELECT count(*) FILTER (WHERE covered IS NULL), count(*) FILTER (WHERE covered IS NOT"
            " NULL) FROM notes WHERE digest NOT IN"
            " (SELECT digest FROM transactions WHERE state <> 'lost')"
        )
        counts = {"waiting": waiting[0], "covered": waiting[1]} if waiting else {}
        counts |= {str(one): 0 for one in State} | {LOST: 0}
        counts |= dict(
            self._db.execute("SELECT state, count(*) FROM transactions GROUP BY state").fetchall()
        )
        return counts

    def moves(self) -> tuple[int, int]:
        """How often a transaction was found in another block; how often one was sent again."""
        row = self._one(
            "SELECT coalesce(sum(moved), 0), coalesce(sum(max(sent - 1, 0)), 0) FROM transactions"
        )
        return (row[0], row[1]) if row else (0, 0)

    def records(self) -> int:
        """Records of gateways' logs that executed transactions cover."""
        row = self._one(
            "SELECT coalesce(sum(top), 0) FROM (SELECT max(size) AS top FROM notes JOIN transactions"
            " USING (digest) WHERE state IN ('executed', 'safe', 'final') AND origin LIKE ?"
            " GROUP BY origin)",
            f"{LOG_PREFIX}%",
        )
        return int(row[0]) if row else 0

    def newest(self) -> Sent | None:
        """The newest transaction."""
        found = self._sent("ORDER BY nonce DESC LIMIT 1")
        return found[0] if found else None

    def fact(self, name: str) -> Any:
        """What the running bridge last said under this name; None if nothing."""
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        return None if row is None else json.loads(row[0])

    def set_facts(self, **facts: object) -> None:
        """Say it."""
        with self.transaction():
            self._db.executemany(
                "INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [(name, json.dumps(value)) for name, value in facts.items()],
            )

    def _sent(self, where: str, *values: object) -> list[Sent]:
        rows = self._db.execute(
            "SELECT nonce, digest, state, hash, signed, height, sent, number, block, time"  # noqa: S608
            f" FROM transactions {where}",
            values,
        )
        found: list[Sent] = []
        for nonce, digest, state, name, signed, height, sent, number, block, time in rows:
            executed = None if number is None else Executed(number, block, time, state != "failed")
            found.append(Sent(nonce, digest, state, name, signed, height, executed, sent))
        return found

    def _one(self, query: str, *values: object) -> Any:
        return self._db.execute(query, values).fetchone()


def _connect(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise LedgerError(f"no bridge at '{path}'", hint="run tally-ledger bridge init")
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise LedgerError(f"cannot open '{path}': {error}") from error
    if version != VERSION:
        connection.close()
        raise LedgerError(
            f"'{path}' has version {version}, this program reads {VERSION}",
            hint="use the release that wrote it, or a newer one",
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
