"""What a start looks at, and what it may take for granted: how far tiles are durable.

If this fails, a gateway takes minutes to start, or serves tiles that a power cut has left half-written.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick import merkle
from tallystick_gateway import log as log_module
from tallystick_gateway.log import Log
from tallystick_gateway.tiles import Tiles, bundle, tile_path
from tests.gateway.test_log import entries_of, grown, mth, right_tile, some

EVERY = 512  # leaves between two marks here
LEAVES = 1500  # the mark stands at 1280 or below, the log goes on beyond it


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "MARK_LEAVES", EVERY)


def marked(folder: Path) -> int:
    """The leaves below the mark."""
    return int((folder / "mark").read_text().split()[0])


def all_right(folder: Path, leaves: list[bytes]) -> None:
    """Every full tile and bundle is there, and what the leaves say."""
    for n in range(len(leaves) // 256):
        own = leaves[n * 256 : n * 256 + 256]
        assert bundle(own) == (folder / tile_path("entries", n)).read_bytes()
        assert right_tile(leaves, 0, n, 256) == (folder / tile_path(0, n)).read_bytes()


class Asked:
    """The leaves, and which of them were asked for."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves, self.first = leaves, len(leaves)

    def __call__(self, start: int, end: int) -> list[bytes]:
        self.first = min(self.first, start)
        return self.leaves[start:end]


def test_a_start_looks_above_the_mark_only(tmp_path: Path) -> None:
    """A start would take the longer the more records there are."""
    leaves = some(LEAVES)
    grown(tmp_path, leaves)
    mark = marked(tmp_path)
    assert 0 == mark % 256
    assert LEAVES - EVERY < mark <= LEAVES
    asked = Asked(leaves)

    log = Log.open(tmp_path, asked, LEAVES)

    assert mark == asked.first
    assert mth(leaves) == log.root()
    assert [mth(leaves[:mark]).hex()] == (tmp_path / "mark").read_text().split()[1:]


def test_the_mark_comes_after_what_it_vouches_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut would leave a mark above tiles that the disk never got."""
    durable: set[Path] = set()
    vouched: list[int] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        real(handle)
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if path.name == ".mark.new":
            size = int(path.read_text().split()[0])
            for n in range(size // 256):
                for name in (tile_path("entries", n), tile_path(0, n)):
                    file = tmp_path / name
                    assert {file, *list(file.parents)[:3]} <= durable, name
            vouched.append(size)
        durable.add(path)

    monkeypatch.setattr("os.fsync", fsync)
    leaves = some(LEAVES)
    grown(tmp_path, leaves)
    Log.open(tmp_path, entries_of(leaves), LEAVES, rebuild=True)

    assert vouched[0] < vouched[-1] == 1280


@pytest.mark.parametrize("seed", range(3))
def test_what_a_power_cut_took_is_put_back(tmp_path: Path, seed: int) -> None:
    """Above the mark a file may be missing, short, empty or full of zeros; a reader would get wrong hashes."""
    leaves = some(LEAVES)
    grown(tmp_path, leaves)
    chance, mark = random.Random(seed), marked(tmp_path)
    loose = [
        path
        for path in sorted((tmp_path / "tile").rglob("*"))
        if path.is_file() and (".p/" in str(path) or int(path.name) >= mark // 256)
    ]
    assert len(loose) > 3
    for path in loose:
        data = path.read_bytes()
        match chance.randrange(4):
            case 0:
                path.unlink()
            case 1:
                path.write_bytes(b"")
            case 2:
                path.write_bytes(bytes(len(data)))
            case 3:
                path.write_bytes(data[: chance.randrange(len(data))])

    log = Log.open(tmp_path, entries_of(leaves), LEAVES)

    assert mth(leaves) == log.root()
    all_right(tmp_path, leaves)
    reader = Tiles(tmp_path, entries_of(leaves))
    merkle.verify_inclusion(
        merkle.leaf_hash(leaves[-1]), LEAVES - 1, LEAVES, reader.inclusion(LEAVES - 1, LEAVES),
        mth(leaves),
    )  # fmt: skip
    width = LEAVES % 256
    assert right_tile(leaves, 0, 5, width) == (tmp_path / tile_path(0, 5, width)).read_bytes()
    assert bundle(leaves[-width:]) == (tmp_path / tile_path("entries", 5, width)).read_bytes()


def test_a_tile_that_is_gone_below_the_mark(tmp_path: Path) -> None:
    """A clumsy hand in the folder would end in an error, or in a wrong proof."""
    leaves = some(LEAVES)
    grown(tmp_path, leaves)
    (tmp_path / tile_path(0, 0)).unlink()
    (tmp_path / tile_path(0, 1)).write_bytes(b"short")

    log = Log.open(tmp_path, entries_of(leaves), LEAVES)

    assert mth(leaves) == log.root()
    for tree in (log, Tiles(tmp_path, entries_of(leaves))):
        assert right_tile(leaves, 0, 0, 256) == tree.hashes(0, 0, 256)
        path = tree.inclusion(300, LEAVES)
        merkle.verify_inclusion(merkle.leaf_hash(leaves[300]), 300, LEAVES, path, mth(leaves))
    (tmp_path / "mark").unlink()
    Log.open(tmp_path, entries_of(leaves), LEAVES)
    all_right(tmp_path, leaves)
    assert 1280 == marked(tmp_path)


def _longer(mark: str) -> str:
    size, root = mark.split()
    return f"{int(size) + 512}\n{root}\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda mark: mark[:-9],
        lambda mark: mark.replace("\n", " "),
        lambda mark: mark + "more\n",
        _longer,
        lambda mark: mark[:-3] + ("00\n" if mark[-3:] != "00\n" else "11\n"),
        lambda mark: "257\n" + mark.split("\n", 1)[1],
    ],
)
def test_a_mark_that_is_damaged_or_ahead(tmp_path: Path, damage: Callable[[str], str]) -> None:
    """A gateway would take tiles for whole that nobody has looked at."""
    leaves = some(LEAVES)
    grown(tmp_path, leaves)
    mark = tmp_path / "mark"
    right = mark.read_text()
    mark.write_text(damage(right))
    (tmp_path / tile_path(0, 0)).unlink()
    (tmp_path / tile_path("entries", 1)).write_bytes(b"torn")

    log = Log.open(tmp_path, entries_of(leaves), LEAVES)

    assert mth(leaves) == log.root()
    all_right(tmp_path, leaves)
    assert 1280 == marked(tmp_path)


def test_an_older_database_under_newer_tiles(tmp_path: Path) -> None:
    """Somebody copies an old database back: what the tiles say beyond it belongs to another history."""
    leaves = some(LEAVES)
    grown(tmp_path, leaves)
    other = [*leaves[:700], *(b"other %d" % n for n in range(900))]

    log = Log.open(tmp_path, entries_of(other[:700]), 700)
    assert mth(other[:700]) == log.root()
    log = Log.open(tmp_path, entries_of(other), 700)
    log.append(other[700:])
    log.publish()

    assert mth(other) == log.root()
    reopened = Log.open(tmp_path, entries_of(other), len(other))
    assert mth(other) == reopened.root()
    all_right(tmp_path, other)
    path = Tiles(tmp_path, entries_of(other)).inclusion(1590, 1600)
    merkle.verify_inclusion(merkle.leaf_hash(other[1590]), 1590, 1600, path, mth(other))


def test_a_disk_that_fails_to_keep_a_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system reports a lost write once: the second attempt would call it durable."""
    leaves = some(LEAVES)
    log = Log.open(tmp_path, entries_of(leaves), 0)
    real = os.fsync

    def fails(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").endswith("/tile/0/001"):
            raise OSError(5, "Input/output error")
        real(handle)

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="Input/output"):
        log.append(leaves)
    assert not (tmp_path / tile_path(0, 1)).exists()
    assert not (tmp_path / "mark").exists()
    monkeypatch.setattr("os.fsync", real)

    log = Log.open(tmp_path, entries_of(leaves), LEAVES)

    assert mth(leaves) == log.root()
    all_right(tmp_path, leaves)
    assert 1280 == marked(tmp_path)


@pytest.mark.parametrize("at", [1290, 1499])
def test_a_record_that_the_disk_has_changed(tmp_path: Path, at: int) -> None:
    """One bad sector in the database would take the proofs of all other devices with it."""
    leaves = some(LEAVES)
    grown(tmp_path, leaves)
    (tmp_path / "mark").unlink()
    hurt = [*leaves[:at], bytes(len(leaves[at])), *leaves[at + 1 :]]

    log = Log.open(tmp_path, entries_of(hurt), LEAVES, signed=(LEAVES, mth(leaves)))

    assert mth(leaves) == log.root()
    path = Tiles(tmp_path, entries_of(hurt)).inclusion(7, LEAVES)
    merkle.verify_inclusion(merkle.leaf_hash(leaves[7]), 7, LEAVES, path, mth(leaves))
    hurt += [b"next %d" % n for n in range(300)]
    log.append(hurt[LEAVES:])
    whole = [*leaves, *hurt[LEAVES:]]
    assert mth(whole) == log.root()
    assert (
        mth(whole) == Log.open(tmp_path, entries_of(hurt), 1800, signed=(1800, log.root())).root()
    )


@pytest.mark.parametrize("signed", [None, (LEAVES - 200, "right"), (LEAVES, "other")])
def test_the_database_counts_where_nothing_was_signed(
    tmp_path: Path, signed: tuple[int, str] | None
) -> None:
    """A tile that a power cut has torn in a few places would be taken for the truth."""
    leaves = some(LEAVES)
    grown(tmp_path, leaves)
    hurt = [*leaves[:1490], b"another", *leaves[1491:]]
    judge = None
    if signed is not None:
        judge = signed[0], mth(leaves[: signed[0]]) if signed[1] == "right" else bytes(32)

    log = Log.open(tmp_path, entries_of(hurt), LEAVES, signed=judge)

    assert mth(hurt) == log.root()
    all_right(tmp_path, hurt)
