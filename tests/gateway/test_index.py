"""The index finds each record: among the newest leaves, in its page, and on its way from one to the other."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from tallystick import limits, record
from tallystick.body import Event, Readings
from tallystick.chain import Result
from tallystick.keys import PrivateKey
from tallystick.record import Record
from tallystick_gateway import bounds
from tallystick_gateway.folder import Folder
from tallystick_gateway.fsck import check as fsck
from tallystick_gateway.log import Log
from tallystick_gateway.store import Store, index
from tallystick_gateway.store.places import PLACES
from tests.gateway.boards import START, Board
from tests.gateway.test_intake import Door

TAIL = 40


@pytest.fixture(autouse=True)
def short_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the log were a thousand times as long."""
    monkeypatch.setattr(bounds, "INDEX_TAIL", TAIL)


class Held:
    """Records of some devices as a list has them, beside a store that took the same in."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path)
        self.leaves: list[tuple[bytes, Record]] = []

    def take(self, *batch: tuple[bytes, Record]) -> None:
        """One transaction."""
        with self.store.transaction():
            for at, (device, one) in enumerate(batch, len(self.leaves)):
                self.store.add_leaf(at, device, one, Result.ADMITTED)
        self.leaves += batch

    def of(self, device: bytes) -> dict[int, tuple[int, Record]]:
        """(leaf, record) by seq."""
        return {
            one.seq: (leaf, one) for leaf, (other, one) in enumerate(self.leaves) if other == device
        }


def some(path: Path, seed: int) -> tuple[Held, list[bytes]]:
    """Three devices whose records come late, with gaps, and from clocks that jump."""
    chance = random.Random(seed)
    held = Held(path)
    keys = [PrivateKey.from_seed(bytes([n]) * 32) for n in range(3)]
    todo = []
    for key in keys:
        for seq in range(0, 4 * PLACES, 1 + (key is keys[1])):
            time = START + 60 * seq + chance.choice([0, 0, 0, -5_000, 9_000])
            says = Readings(0, 0, ((seq,),)) if chance.random() < 0.8 else Event(7, (seq, 1))
            raw = record.sign(key, seq, bytes(32), time, says)
            todo.append((key.public.kid, record.parse(raw)))
    todo.sort(key=lambda one: one[1].seq + chance.choice([0, 0, 0, 25, 70]))
    while todo:
        size = chance.randrange(1, 30)
        held.take(*todo[:size])
        todo = todo[size:]
    return held, [key.public.kid for key in keys]


def check(store: Store, held: Held, devices: list[bytes], chance: random.Random) -> None:
    """Whatever is asked, the store says what the list says."""
    for device in devices:
        right = held.of(device)
        for seq in (*right, 1, 4 * PLACES, 10**9, limits.SEQ):
            place = store.place(device, seq)
            if seq not in right:
                assert place is None
                continue
            leaf, one = right[seq]
            assert place is not None
            assert (seq, leaf, one.kind.value, one.time) == place[:4]
            link = store.link(device, seq)
            assert link is not None
            assert one.id == link.id
        for _ in range(10):
            first = chance.randrange(4 * PLACES)
            last = chance.randrange(first, 5 * PLACES)
            wanted = [(seq, *right[seq]) for seq in sorted(right) if first <= seq <= last]
            rows = store.rows(device, first, last, 50)
            assert [(seq, leaf, one.raw) for seq, leaf, one in wanted][:50] == rows
            below = [place.seq for place in store.places_below(device, last)]
            assert sorted((s for s in right if s < last), reverse=True) == below
            start = START + chance.randrange(60 * 5 * PLACES)
            end = start + chance.randrange(60 * PLACES)
            within = sorted(
                ((one.time, seq) for seq, (_, one) in right.items() if isinstance(one.body, Readings)
                 and start <= one.time <= end),
                reverse=True,
            )  # fmt: skip
            latest = store.latest(device, start, end, 20)
            assert within[:20] == [(place.time, place.seq) for place in latest]
            between = store.seqs_between(device, start, end)
            seqs = [seq for _, seq in within]
            assert between == ((min(seqs), max(seqs)) if seqs else None)
        for size in (0, 1, *(chance.randrange(len(held.leaves) + 1) for _ in range(10)), 10**9):
            inside = [seq for seq, (leaf, _) in right.items() if leaf < size]
            assert max(inside, default=None) == store.newest_within(device, size)
            beyond = [seq for seq, (leaf, _) in right.items() if leaf >= size]
            assert len(beyond) == store.unanchored(device, size)
        leaf, one = right[max(right)]
        assert (device, one.seq, "admitted") == store.find(one.id)
        leaf, one = right[min(right)]
        assert (device, one.seq, "admitted") == store.find(one.id)
        assert leaf == next(p.leaf for p in store.places(device, one.seq, one.seq))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_is_found(tmp_path: Path, seed: int) -> None:
    """A record that cannot be found is a gap that is asked for for ever, and a proof that cannot be made."""
    path = tmp_path / "gateway.db"
    held, devices = some(path, seed)
    chance = random.Random(seed)
    pages = held.store._db.execute("SELECT count(*) FROM pages").fetchone()[0]

    check(held.store, held, devices, chance)
    reader = Store.read(path)
    check(reader, held, devices, chance)
    held.store.close()
    check(Store.open(path), held, devices, chance)

    assert pages > 6  # else only the newest leaves were looked at


def test_a_reader_of_many_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for one device after the other looks at all newest leaves once, not once for each."""
    monkeypatch.setattr(index, "_ONE_BY_ONE", 1)
    path = tmp_path / "gateway.db"
    held, devices = some(path, 6)
    reader = Store.read(path)
    check(reader, held, devices, random.Random(6))
    board = Board()
    held.take((board.id, board.open()))
    check(reader, held, [*devices, board.id], random.Random(7))


def test_a_reader_that_says_what_it_will_ask(tmp_path: Path) -> None:
    """A page of sixty devices would look through all newest leaves for each of them."""
    path = tmp_path / "gateway.db"
    held, devices = some(path, 7)
    board = Board()
    reader = Store.read(path)
    for known in ([], devices[:1], [*devices, board.id]):
        reader.expect(known)
        check(reader, held, devices, random.Random(6))
    assert reader.place(board.id, 0) is None
    held.take((board.id, board.open()))
    check(reader, held, [*devices, board.id], random.Random(7))


def test_a_reader_sees_what_comes(tmp_path: Path) -> None:
    """The page of a service that runs for weeks would stop at what was there when it was opened."""
    path = tmp_path / "gateway.db"
    held = Held(path)
    board = Board()
    reader = Store.read(path)
    for one in [board.open(), *(board.read() for _ in range(3 * TAIL))]:
        held.take((board.id, one))
        place = reader.place(board.id, one.seq)
        assert place is not None
        assert one.raw == reader.raw(place.leaf)


def test_a_failed_transaction_leaves_no_place(tmp_path: Path) -> None:
    """A record that was not committed must be taken in when it comes again."""
    held = Held(tmp_path / "gateway.db")
    board = Board()
    records = board.fill(2 * TAIL)
    held.take(*((board.id, one) for one in records[: TAIL - 5]))
    twice = [*records[TAIL - 5 :], records[-1]]
    with pytest.raises(sqlite3.IntegrityError):
        held.take(*((board.id, one) for one in twice))

    assert held.store.place(board.id, TAIL - 5) is None
    assert TAIL - 5 == held.store.size()
    held.take(*((board.id, one) for one in records[TAIL - 5 :]))
    check(held.store, held, [board.id], random.Random(1))


def test_never_two_records_of_one_seq(tmp_path: Path) -> None:
    """Should the rules ever fail, the batch fails with them, and nothing is in the log twice."""
    held = Held(tmp_path / "gateway.db")
    board = Board()
    one = board.open()
    held.take((board.id, one))
    with pytest.raises(sqlite3.IntegrityError):
        held.take((board.id, one))
    assert 1 == held.store.size()


@pytest.mark.parametrize(("table", "page"), [("pages", 0), ("ends", 1)])
def test_fsck_reads_the_pages(tmp_path: Path, table: str, page: int) -> None:
    """A page that somebody changed would hide a record, or show another in its place."""
    board = Board()
    door = Door(tmp_path, board)
    door.take(board, *board.fill(TAIL + 10))
    door.store.close()
    database = sqlite3.connect(door.path, isolation_level=None)
    change = f"UPDATE {table} SET places = zeroblob(32) WHERE page = {page}"
    assert database.execute(change).rowcount == 1
    database.close()

    store = Store.read(door.path)
    folder = Folder(tmp_path)
    Log.open(folder.log, store.entries, store.size())
    report = fsck(store, folder, None)

    assert any("another record has its place" in line for line in report.wrong)


def test_pages_of_an_older_database_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade of millions of records does not keep all of them in memory."""
    path = tmp_path / "gateway.db"
    monkeypatch.setattr(bounds, "INDEX_TAIL", 10**6)
    held, devices = some(path, 4)
    held.store.close()
    monkeypatch.setattr(bounds, "INDEX_TAIL", TAIL)

    store = Store.open(path)

    left = store.size() - int(store.fact("indexed"))
    assert 0 <= left < TAIL
    check(store, held, devices, random.Random(4))


def test_a_database_of_version_3(tmp_path: Path) -> None:
    """After an upgrade the gateway finds what it had, and goes on in the same pages."""
    path = tmp_path / "gateway.db"
    held, devices = some(path, 8)
    held.store.close()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("INSERT INTO pages SELECT * FROM ends")
    database.execute("DROP VIEW all_pages")
    database.execute("DROP TABLE ends")
    database.execute("PRAGMA user_version = 3")
    database.close()

    held.store = Store.open(path)

    check(held.store, held, devices, random.Random(8))
    board = Board()
    held.take(*((board.id, one) for one in board.fill(2 * TAIL)))
    check(held.store, held, [*devices, board.id], random.Random(9))
    check(Store.read(path), held, devices, random.Random(8))
    moved = held.store._db.execute("SELECT count(*) FROM ends").fetchone()[0]
    assert 4 == moved
