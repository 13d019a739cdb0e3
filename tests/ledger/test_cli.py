"""The command's words: init, identity, fsck, wrong use."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick.note import VerifierKey
from tallystick_ledger.folder import Folder
from tallystick_ledger.node import Node
from tests.ledger.conftest import Clock
from tests.ledger.site import Ledger, anchor


def tally_ledger(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "tallystick_ledger", *args],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **env},
    )


def test_init_and_identity(tmp_path: Path) -> None:
    """The one line is what an engineer carries to the policy; the key stays with its owner."""
    folder = tmp_path / "site"
    made = tally_ledger("init", "--dir", str(folder), "--name", "cold store")
    assert 0 == made.returncode, made.stderr
    line = tally_ledger("identity", "--dir", str(folder)).stdout
    assert line == made.stdout
    assert 1 == line.count("\n")
    key = VerifierKey.parse(line)
    assert key.name.startswith("tallystick-ledger/")
    assert 0o600 == stat.S_IMODE((folder / "ledger.key").stat().st_mode)
    assert "PRIVATE KEY" not in made.stdout + made.stderr


def test_init_never_overwrites(tmp_path: Path) -> None:
    """A second init over a ledger would end all its proofs."""
    folder = tmp_path / "site"
    tally_ledger("init", "--dir", str(folder))
    before = (folder / "ledger.key").read_bytes()
    again = tally_ledger("init", "--dir", str(folder))
    assert 1 == again.returncode
    assert "error: " in again.stderr
    assert "hint: " in again.stderr
    (folder / "ledger.db").unlink()
    assert 1 == tally_ledger("init", "--dir", str(folder)).returncode
    assert before == (folder / "ledger.key").read_bytes()


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (["run", "--dir", "nowhere", "--broker", "127.0.0.1:1"], 1),
        (["run", "--dir", "nowhere", "--broker", "nonsense"], 2),
        (["run", "--dir", "nowhere"], 2),
        (["run", "--dir", "nowhere", "--broker", "a:1", "--interval", "0"], 2),
        (["run", "--dir", "nowhere", "--broker", "a:1", "--password-file", "/dev/null"], 2),
        (["identity", "--dir", "nowhere"], 1),
        (["fsck", "--dir", "nowhere"], 1),
        (["init", "--dir", "{tmp}", "--name", "x" * 65], 1),
        (["sing"], 2),
    ],
)
def test_wrong_use(tmp_path: Path, args: list[str], status: int) -> None:
    """An operator must be told what to do, and a script must see that it failed."""
    done = tally_ledger(*(arg.replace("{tmp}", str(tmp_path / "new")) for arg in args))
    assert status == done.returncode
    assert done.stderr.startswith("error: ")
    assert "" == done.stdout
    assert "Traceback" not in done.stderr
    assert [] == list(tmp_path.glob("new/*"))


def test_options_from_the_environment(tmp_path: Path) -> None:
    """A unit file or container gives the options as variables."""
    done = tally_ledger("init", TALLY_LEDGER_DIR=str(tmp_path / "site"))
    assert 0 == done.returncode, done.stderr


def test_key_of_another_ledger_is_refused(tmp_path: Path) -> None:
    """Key and database from different backups would sign milestones that nobody can verify."""
    a, b = (Ledger(tmp_path / name, 1) for name in "ab")
    (a.folder / "ledger.key").write_bytes((b.folder / "ledger.key").read_bytes())
    done = a.command("run", "--broker", "127.0.0.1:1")
    assert 1 == done.returncode
    assert "is not that of" in done.stderr


# ---- fsck


def grown(node: Node, folder: Folder) -> Path:
    """A ledger with some history; its folder."""
    for size in range(1, 8):
        node.submit([anchor(node.tips()[:2], size)])
        if size % 2:
            node.tick()
    node.submit([anchor(node.tips()[:2], 9)])
    return folder.path


def test_fsck_finds_a_sound_ledger_sound(node: Node, folder: Folder) -> None:
    """A check that cries wolf is switched off; it must also work beside a running ledger."""
    done = tally_ledger("fsck", "--dir", str(grown(node, folder)))
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("ok: ")


DAMAGE = {
    "a bit of a block": "UPDATE blocks SET raw ="
    " CAST(substr(raw, 1, 200) || x'00' || substr(raw, 202) AS BLOB) WHERE arrival = 3",
    "a block is gone": "DELETE FROM blocks WHERE arrival = 3",
    "positions swapped": "UPDATE places SET position = CASE position WHEN 3 THEN 1002 ELSE 1003 END"
    " WHERE position IN (3, 2); UPDATE places SET position = position - 1000 WHERE position > 1000",
    "a position lost": "DELETE FROM places WHERE position = 1",
    "a milestone moved": "UPDATE milestones SET size = size + 1 WHERE number = 2",
    "a root": "UPDATE milestones SET root = zeroblob(32) WHERE number = 2",
    "a checkpoint": "UPDATE milestones SET checkpoint ="
    " (SELECT checkpoint FROM milestones WHERE number = 1) WHERE number = 2",
    "a milestone is gone": "DELETE FROM milestones WHERE number = 3",
    "the newest milestone is gone": "DELETE FROM milestones WHERE number = 4",
    "a tree node": "UPDATE nodes SET hash = zeroblob(32) WHERE number = 5",
    "a tree node is gone": "DELETE FROM nodes WHERE number = 3",
    "the head": "UPDATE ledger SET head_index = head_index - 1",
    "the ledger's id": "UPDATE ledger SET id = zeroblob(8)",
    "a look-up": "UPDATE blocks SET subject = zeroblob(8) WHERE arrival = 3",
    "an index key": "UPDATE blocks SET prefix = prefix + 1 WHERE arrival = 3",
    "what waits": "UPDATE ledger SET settled = 100",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_fsck_finds_damage(node: Node, folder: Folder, what: str) -> None:
    """Whoever restores a backup must learn here, not in court, that it is not whole."""
    path = grown(node, folder)
    with sqlite3.connect(folder.database) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        for statement in DAMAGE[what].split(";"):
            assert 0 < database.execute(statement).rowcount
    done = tally_ledger("fsck", "--dir", str(path))
    assert 1 == done.returncode
    assert "damage: " in done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")


def test_fsck_finds_a_broken_file(node: Node, folder: Folder, clock: Clock) -> None:
    """A page that the disk lost is damage, not a crash of the check."""
    path = grown(node, folder)
    node.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = bytearray(folder.database.read_bytes())
    half = len(raw) // 2 // 4096 * 4096
    raw[half : half + 4096] = bytes(4096)
    copy = Folder(path.parent / "copy")
    copy.path.mkdir()
    copy.database.write_bytes(raw)
    done = tally_ledger("fsck", "--dir", str(copy.path))
    assert 1 == done.returncode
    assert "Traceback" not in done.stderr
