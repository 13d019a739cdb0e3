"""The database: an older one is brought up to date with everything in it, a newer one is left alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tallystick import record
from tallystick.body import Beacon, Open, Readings
from tallystick_gateway.folder import FolderError
from tallystick_gateway.store import Store
from tests.gateway.boards import Board
from tests.gateway.test_intake import Door

OLD = Path(__file__).with_name("schema-1.sql")


def downgraded(path: Path, target: Path) -> None:
    """What version 1 would have written in place of `path`."""
    old = sqlite3.connect(target, isolation_level=None)
    old.executescript(OLD.read_text())
    old.execute("PRAGMA user_version = 1")
    old.execute("ATTACH ? AS new", (str(path),))
    for table in ("devices", "keys", "quarantine", "counters", "facts"):
        old.execute(f"INSERT INTO {table} SELECT * FROM new.{table}")
    old.execute("DELETE FROM facts WHERE name = 'indexed'")
    leaves = old.execute("SELECT idx, device, seq, result, raw FROM new.leaves").fetchall()
    for idx, device, seq, result, raw in leaves:
        one = record.parse(raw)
        old.execute(
            "INSERT INTO leaves VALUES (?, ?, ?, ?, ?, ?)", (idx, one.id, device, seq, result, raw)
        )
        named = one.body.milestone if isinstance(one.body, Open | Beacon) else None
        row = (
            *(device, seq, one.id, one.prev, one.signed.kid, one.kind.value, one.time),
            one.body.boot if isinstance(one.body, Readings) else None,
            *((named.id, named.ledger) if named else (None, None)),
        )
        if result == "admitted":
            old.execute(f"INSERT INTO records VALUES ({', '.join('?' * 11)})", (*row, idx))
    old.execute(
        "INSERT INTO evidence SELECT leaf, device, seq, result, other, detail, at FROM new.evidence"
    )
    old.close()


def test_an_older_database_is_upgraded(tmp_path: Path) -> None:
    """Records, chains and evidence of version 1 are there after the first start, and go on."""
    board = Board()
    records = board.fill(5)
    fork = board.make(3, records[2].id, records[3].body, time=records[3].time + 1)
    door = Door(tmp_path, board)
    door.take(board, *records[:4], fork)
    leaves = list(door.store.leaves())
    door.store.close()
    old = tmp_path / "old.db"
    downgraded(door.path, old)

    store = Store.open(old)

    assert leaves == list(store.leaves())
    assert "fork" == store.evidence_result(fork.id)
    assert fork.raw == store.raw_by_id(board.id, 3, fork.id)
    assert records[3].raw == store.raw_by_id(board.id, 3, records[3].id)
    store.close()
    assert leaves == list(Store.read(old).leaves())
    door.path, door.store = old, Store.open(old)
    door.intake = door.fresh()
    assert {"admitted": 1} == door.take(board, records[4]).results
    assert {"duplicate": 1} == door.take(board, fork).results


def test_another_version_is_left_alone(tmp_path: Path) -> None:
    """A program that does not know a database does not touch it."""
    path = tmp_path / "gateway.db"
    Store.open(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    for way in (Store.open, Store.read):
        with pytest.raises(FolderError, match="version 99"):
            way(path)


def test_records_are_found_by_hash(tmp_path: Path) -> None:
    """A person who has only a hash finds its record, in the chain or among the evidence."""
    board = Board()
    records = board.fill(5)
    fork = board.make(3, records[2].id, records[3].body, time=records[3].time + 1)
    door = Door(tmp_path, board)
    door.take(board, *records, fork)

    assert (board.id, 4, "admitted") == door.store.find(records[4].id)
    assert (board.id, 3, "fork") == door.store.find(fork.id)
    assert door.store.find(bytes(32)) is None


def test_a_copy_is_of_one_moment(tmp_path: Path) -> None:
    """What is written while a backup runs is in it wholly or not at all, and stops nobody."""
    board = Board()
    records = board.fill(30)
    door = Door(tmp_path, board)
    door.take(board, *records[:20])
    reader = Store.read(door.path)
    reader.copy_to(tmp_path / "copy.db", lambda done, whole: None)
    door.take(board, *records[20:])

    copy = Store.read(tmp_path / "copy.db")
    assert [r.raw for r in records[:20]] == copy.entries(0, 99)
    assert 0o600 == (tmp_path / "copy.db").stat().st_mode & 0o777
