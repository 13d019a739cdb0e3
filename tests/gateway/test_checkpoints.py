"""The signer never signs two trees that fork, whatever was restored and whoever shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick import checkpoint, merkle
from tallystick.keys import PrivateKey
from tallystick_gateway.checkpoints import Checkpoints, HighWater
from tallystick_gateway.folder import Folder, FolderError, Identity
from tallystick_gateway.log import Log
from tallystick_gateway.store import Store

NOW = 1_790_000_000


class Signer:
    """A signing state with a tree of its own; `Signer(folder, key)` again is a restart."""

    def __init__(
        self, path: Path, identity: Identity, leaves: list[bytes], *, settled: bool = True
    ) -> None:
        folder = Folder(path)
        path.mkdir(exist_ok=True)
        self.leaves = list(leaves)
        self.store = Store.open(folder.database)
        self.high = HighWater(folder.high_water)
        self.tree = Log.open(folder.log, lambda a, b: self.leaves[a:b], len(leaves))
        self.points = Checkpoints(identity, self.store, folder, self.high)
        self.points.settled = settled

    def grow(self, *leaves: bytes) -> None:
        """Committed leaves."""
        self.leaves += leaves
        self.tree.append(leaves)

    def sign(self) -> int | None:
        """The size of a new checkpoint, None if there is none."""
        signed = self.points.sign(self.tree, NOW)
        return signed.size if signed else None


@pytest.fixture
def identity() -> Identity:
    """A gateway's key."""
    return Identity.of(PrivateKey.generate())


def test_what_is_signed_is_in_both_places(tmp_path: Path, identity: Identity) -> None:
    """A checkpoint that anyone can see is in the database and outside of it, and verifies."""
    signer = Signer(tmp_path / "gw", identity, [b"a"])
    assert 1 == signer.sign()
    assert signer.sign() is None
    signer.grow(b"b", b"c")
    assert 3 == signer.sign()

    note = checkpoint.parse((tmp_path / "gw/log/checkpoint").read_bytes())
    note.verify(identity.verifier)
    root = merkle.root([merkle.leaf_hash(leaf) for leaf in (b"a", b"b", b"c")])
    assert (3, root) == (note.size, note.root)
    assert {identity.origin: (3, root)} == signer.high.read()
    newest = signer.store.newest_checkpoint(identity.origin)
    assert newest is not None
    assert note.raw == newest.note


def test_nothing_is_signed_before_it_is_settled(tmp_path: Path, identity: Identity) -> None:
    """A gateway that has just started first hears what others hold of its past."""
    signer = Signer(tmp_path / "gw", identity, [b"a"], settled=False)
    assert signer.sign() is None
    assert {} == signer.high.read()


def test_two_processes_with_one_database(tmp_path: Path, identity: Identity) -> None:
    """If somebody else signed meanwhile, this one stops instead of signing a fork."""
    one = Signer(tmp_path / "gw", identity, [b"a"])
    other = Signer(tmp_path / "gw", identity, [b"a"])
    assert 1 == one.sign()
    other.grow(b"x")

    assert other.sign() is None
    assert other.points.frozen is not None
    assert {1} == {size for _, size, _, _ in one.store.all_checkpoints()}


def test_a_high_water_that_the_log_does_not_reach(tmp_path: Path, identity: Identity) -> None:
    """A folder restored from a backup freezes by the file beside it, and stays so after a restart."""
    HighWater(Folder(tmp_path / "gw").high_water).raise_to(identity.origin, 9, bytes(32))
    signer = Signer(tmp_path / "gw", identity, [b"a"])
    signer.points.compare_own(signer.tree)
    assert "high-water" in str(signer.points.frozen)
    assert signer.sign() is None
    Folder(tmp_path / "gw").high_water.unlink()

    again = Signer(tmp_path / "gw", identity, [b"a"])
    again.points.compare_own(again.tree)
    assert again.sign() is None


def test_a_high_water_with_another_root(tmp_path: Path, identity: Identity) -> None:
    """The same size is no proof of the same tree."""
    HighWater(Folder(tmp_path / "gw").high_water).raise_to(identity.origin, 1, bytes(32))
    signer = Signer(tmp_path / "gw", identity, [b"a", b"b"])
    signer.points.compare_own(signer.tree)
    assert signer.points.frozen is not None


def test_a_high_water_file_that_cannot_be_read(tmp_path: Path, identity: Identity) -> None:
    """A torn guard is an error to look at, not a reason to sign without it."""
    Folder(tmp_path / "gw").high_water.write_text('{"version": 1, "logs": {"x": {"si')
    signer = Signer(tmp_path / "gw", identity, [b"a"])
    with pytest.raises(FolderError):
        signer.sign()
    assert signer.points.newest is None
    Folder(tmp_path / "gw").high_water.unlink()

    assert 1 == signer.sign()
    assert signer.points.frozen is None


def test_older_checkpoints_of_ours_do_no_harm(tmp_path: Path, identity: Identity) -> None:
    """Boards show old checkpoints every day."""
    signer = Signer(tmp_path / "gw", identity, [b"a"])
    old = merkle.root([merkle.leaf_hash(b"a")])
    signer.sign()
    signer.grow(b"b")
    signer.points.shown("a board", 1, old, signer.tree)
    signer.points.shown("a board", 0, merkle.EMPTY_ROOT, signer.tree)
    assert 2 == signer.sign()

    signer.points.shown("a board", 1, bytes(32), signer.tree)
    assert "a board" in str(signer.points.frozen)


def test_a_note_that_we_did_not_sign_freezes_nobody(tmp_path: Path, identity: Identity) -> None:
    """Whoever may publish on the broker cannot stop the gateway with a note of his own."""
    signer = Signer(tmp_path / "gw", identity, [b"a"])
    stranger = PrivateKey.generate()
    forged = checkpoint.sign(stranger, identity.origin, 99, bytes(32))
    foreign = checkpoint.sign(stranger, "tallystick/0123456789abcdef", 99, bytes(32))
    for raw in (forged, foreign, b"", b"\xff", b"x" * 100_000):
        signer.points.shown_note("the broker", raw, signer.tree)
    assert 1 == signer.sign()

    ours = checkpoint.sign(identity.key, identity.origin, 99, bytes(32))
    signer.points.shown_note("the broker", ours, signer.tree)
    assert signer.points.frozen is not None
