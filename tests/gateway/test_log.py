"""The tree and its tiles, against a computation that shares nothing with them but SHA-256."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from tallystick import merkle
from tallystick_gateway.log import Log
from tallystick_gateway.tiles import Tiles, bundle, tile_path


def mth(leaves: Sequence[bytes]) -> bytes:
    """MTH as RFC 9162, 2.1.1 writes it: recursively, over the entries themselves."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + mth(leaves[:split]) + mth(leaves[split:])).digest()


def right_tile(leaves: Sequence[bytes], level: int, n: int, width: int) -> bytes:
    """The tile as C2SP tlog-tiles defines it."""
    span = 256**level
    first = n * 256
    return b"".join(mth(leaves[(first + i) * span : (first + i + 1) * span]) for i in range(width))


def entries_of(leaves: list[bytes]) -> Callable[[int, int], list[bytes]]:
    """What the database would give."""
    return lambda start, end: leaves[start:end]


def grown(folder: Path, leaves: list[bytes], *, batch: int = 97) -> Log:
    """A log that took the leaves in batches and published now and then."""
    log = Log.open(folder, entries_of(leaves), 0)
    for start in range(0, len(leaves), batch):
        log.append(leaves[start : start + batch])
        log.publish()
    return log


def some(count: int) -> list[bytes]:
    """Different leaves of different lengths."""
    return [b"leaf %d" % i + bytes(i % 7) for i in range(count)]


def test_the_root_at_every_size(tmp_path: Path) -> None:
    """A checkpoint signs the root that every RFC 9162 verifier computes."""
    leaves = some(300)
    log = Log.open(tmp_path, entries_of(leaves), 0)
    for size in range(len(leaves)):
        assert mth(leaves[:size]) == log.root()
        log.append([leaves[size]])
    for size in range(len(leaves) + 1):
        assert mth(leaves[:size]) == log.root_at(size)


def test_tiles_on_disk_are_those_of_the_specification(tmp_path: Path) -> None:
    """A C2SP client that reads the folder gets the hashes and entries that it expects, and no stale file."""
    leaves = some(700)
    grown(tmp_path, leaves)
    expected = {
        tile_path(0, 0): right_tile(leaves, 0, 0, 256),
        tile_path(0, 1): right_tile(leaves, 0, 1, 256),
        tile_path(0, 2, 188): right_tile(leaves, 0, 2, 188),
        tile_path(1, 0, 2): right_tile(leaves, 1, 0, 2),
        tile_path("entries", 0): bundle(leaves[:256]),
        tile_path("entries", 1): bundle(leaves[256:512]),
        tile_path("entries", 2, 188): bundle(leaves[512:]),
    }
    on_disk = {
        str(path.relative_to(tmp_path)): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }

    assert expected == on_disk


def test_the_third_level(tmp_path: Path) -> None:
    """Beyond 65,536 records the tree has a tile of tiles of tiles."""
    leaves = [i.to_bytes(3, "big") for i in range(65_536 + 300)]
    log = Log.open(tmp_path, entries_of(leaves), 65_500)
    log.append(leaves[65_500:])
    log.publish()

    assert mth(leaves) == log.root()
    assert mth(leaves[:65_536]) == (tmp_path / tile_path(2, 0, 1)).read_bytes()
    assert right_tile(leaves, 1, 1, 1) == (tmp_path / tile_path(1, 1, 1)).read_bytes()
    reader = Tiles(tmp_path, entries_of(leaves))
    path = reader.inclusion(40_000, 65_800)
    merkle.verify_inclusion(
        merkle.leaf_hash(leaves[40_000]), 40_000, 65_800, path, mth(leaves[:65_800])
    )


@pytest.mark.parametrize(("n", "path"), [(0, "000"), (67, "067"), (1234067, "x001/x234/067")])
def test_tile_names(n: int, path: str) -> None:
    """The names are those of C2SP tlog-tiles."""
    assert f"tile/1/{path}" == tile_path(1, n)
    assert f"tile/1/{path}.p/9" == tile_path(1, n, 9)


def test_paths_from_the_folder_alone(tmp_path: Path) -> None:
    """A proof for any signed size, older or newest, leads to that size's root."""
    leaves = some(900)
    grown(tmp_path, leaves)
    reader = Tiles(tmp_path, entries_of(leaves))
    chance = random.Random(5)
    for _ in range(60):
        size = chance.randrange(1, 901)
        index, size1 = chance.randrange(size), chance.randrange(size + 1)
        root = mth(leaves[:size])
        path = reader.inclusion(index, size)
        merkle.verify_inclusion(merkle.leaf_hash(leaves[index]), index, size, path, root)
        older = mth(leaves[:size1])
        merkle.verify_consistency(size1, older, size, root, reader.consistency(size1, size))


@pytest.mark.parametrize("seed", range(4))
def test_missing_and_torn_tiles_are_put_back(tmp_path: Path, seed: int) -> None:
    """After a crash in the middle of the tiles, or with tiles deleted, the next start has them all again."""
    leaves = some(1200)
    grown(tmp_path / "whole", leaves, batch=300)
    chance = random.Random(seed)
    folder = tmp_path / "hurt"
    shutil.copytree(tmp_path / "whole", folder)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        match chance.randrange(3):
            case 0:
                path.unlink()
            case 1:
                path.write_bytes(path.read_bytes()[: chance.randrange(1, 40)])
    log = Log.open(folder, entries_of(leaves), 1200)
    log.publish()

    assert mth(leaves) == log.root()
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file():
            assert (
                path.read_bytes() == (folder / path.relative_to(tmp_path / "whole")).read_bytes()
            ), path


def test_tiles_that_lie_are_rebuilt(tmp_path: Path) -> None:
    """A tile with a flipped bit gives another root; `rebuild` computes all of them from the leaves."""
    leaves = some(600)
    grown(tmp_path, leaves)
    tile = tmp_path / tile_path(0, 0)
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    assert mth(leaves[:255]) != Tiles(tmp_path, entries_of(leaves)).root_at(255)

    log = Log.open(tmp_path, entries_of(leaves), 600, rebuild=True)

    assert mth(leaves[:255]) == log.root_at(255)
    assert right_tile(leaves, 0, 0, 256) == tile.read_bytes()


def test_a_start_costs_no_second_root(tmp_path: Path) -> None:
    """A log that is opened in the middle goes on as one that was never closed."""
    leaves = some(515)
    for middle in (1, 255, 256, 257, 511, 512):
        folder = tmp_path / str(middle)
        grown(folder, leaves[:middle])
        log = Log.open(folder, entries_of(leaves), middle)
        log.append(leaves[middle:])
        assert mth(leaves) == log.root()


def test_what_a_kill_left_is_swept(tmp_path: Path) -> None:
    """A gateway that is killed a thousand times leaves no thousand half-written files."""
    leaves = some(700)
    grown(tmp_path, leaves)
    whole = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for path in whole:
        path.with_name(f".{path.name}.new").write_bytes(b"half")

    Log.open(tmp_path, entries_of(leaves), 700)

    assert whole == sorted(path for path in tmp_path.rglob("*") if path.is_file())


def test_torn_partial_tiles_are_put_right_or_gone(tmp_path: Path) -> None:
    """A reader of the folder finds no wrong tile after a start, not even one that nobody needs any more."""
    leaves = some(700)
    log = Log.open(tmp_path, entries_of(leaves), 0)
    log.append(leaves[:100])
    log.publish()
    old = sorted(path for path in tmp_path.rglob("*") if ".p/" in str(path) and path.is_file())
    kept = {path: path.read_bytes() for path in old}
    log.append(leaves[100:])
    log.publish()
    for path, data in kept.items():  # what a kill between the two kept from being removed
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data[:7])
    edge = tmp_path / tile_path(0, 2, 188)
    edge.write_bytes(b"torn")

    Log.open(tmp_path, entries_of(leaves), 700)

    assert right_tile(leaves, 0, 2, 188) == edge.read_bytes()
    assert [] == [
        path
        for path in old
        if path.exists() and path.parent.name == "000.p" and "/1/" not in str(path)
    ]
