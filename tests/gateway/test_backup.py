"""Backup and restore: whole, online, private, and never the start of a second history."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from tallystick import topics
from tallystick.update import Want
from tallystick_gateway.updates.folder import UpdateFolder
from tests.gateway.boards import Board
from tests.gateway.running import Field, Gateway, command, eventually
from tests.gateway.test_updates import bring, made


def copied(gateway: Gateway, target: Path) -> dict[str, object]:
    """Run the backup."""
    said: dict[str, object] = json.loads(
        command("backup", "--json", "--dir", gateway.folder, target).stdout
    )
    return said


def test_a_copy_that_is_made_under_load_is_whole(
    gateway: Gateway, field: Field, tmp_path: Path
) -> None:
    """A backup of a running gateway restores to a folder that fsck finds nothing wrong with, and goes on."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    records = board.fill(400)
    sender = threading.Thread(target=field.send, args=(board, records))
    sender.start()
    eventually(lambda: gateway.json("/healthz")["size"] or None, "some records")
    said = copied(gateway, tmp_path / "copy")
    sender.join()
    field.acked(board, 399)
    gateway.stop()
    held = [path for path in (tmp_path / "copy").iterdir() if path.stat().st_mode & 0o077]
    assert [tmp_path / "copy" / "backup.json"] == held
    shutil.rmtree(gateway.folder)
    gateway.folder.with_name("gw.high-water").unlink()

    ended = command("restore", "--dir", gateway.folder, tmp_path / "copy")

    assert b"there was no high-water file" in ended.stderr
    checked = json.loads(command("fsck", "--json", "--dir", gateway.folder).stdout)
    assert (True, said["size"]) == (checked["ok"], checked["counts"].get("leaves", 0))


def test_an_old_copy_says_so_and_signs_nothing(
    gateway: Gateway, field: Field, tmp_path: Path
) -> None:
    """The high-water file beside the folder remembers what the copy does not know."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    records = board.fill(6)
    field.send(board, records[:3])
    eventually(lambda: gateway.json("/healthz")["signed"] == 3, "checkpoint")
    copied(gateway, tmp_path / "copy")
    field.send(board, records[3:])
    eventually(lambda: gateway.json("/healthz")["signed"] == 6, "checkpoint")
    gateway.stop()
    shutil.rmtree(gateway.folder)

    ended = command("restore", "--json", "--dir", gateway.folder, tmp_path / "copy")

    assert b"this copy is old" in ended.stderr
    assert b"new-log" in ended.stderr
    facts = json.loads(ended.stdout)
    assert (3, 3) == (facts["size"], facts["signed"])
    assert "size 6" in facts["frozen"]
    gateway.start()
    gateway.state("frozen")


def test_updates_go_on_after_a_restore(gateway: Gateway, field: Field, tmp_path: Path) -> None:
    """A board that was offered an update would ask a restored gateway for its parts in vain."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    updates = UpdateFolder(gateway.folder / "updates")
    first, second = made(1), made(2)
    bring(updates, second)  # not in the order of their names, whatever these are
    bring(updates, first)
    order = list(updates.kept())
    (gateway.folder / "updates" / "notes.txt").write_text("not an update")
    copied(gateway, tmp_path / "copy")
    gateway.stop()
    shutil.rmtree(gateway.folder)

    command("restore", "--dir", gateway.folder, tmp_path / "copy")

    restored = UpdateFolder(gateway.folder / "updates")
    restored.load()
    assert order == list(restored.kept())
    assert not (gateway.folder / "updates" / "notes.txt").exists()
    gateway.start()
    want = Want(next(entry.sha256 for entry in first.entries if "life" in entry.path), 0, 100)
    text = f"{want.sha256.hex()} {want.offset} {want.length}".encode()
    field.send_raw(topics.Device(board.id).want, text)
    part = eventually(lambda: field.newest.get(topics.Device(board.id).part), "a part")
    assert first.answer(want) == part


def test_an_update_that_was_changed_in_the_backup(gateway: Gateway, tmp_path: Path) -> None:
    """Nothing of a damaged backup is taken."""
    gateway.enrol()
    gateway.start()
    bring(UpdateFolder(gateway.folder / "updates"), made(1))
    gateway.stop()
    copied(gateway, tmp_path / "copy")
    (kept,) = (tmp_path / "copy" / "updates").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")

    ended = command("restore", "--dir", tmp_path / "new", tmp_path / "copy", check=False)

    assert 1 == ended.returncode
    assert b"is not what was copied" in ended.stderr
    said = json.loads((tmp_path / "copy" / "backup.json").read_text())
    said["files"]["updates/../../elsewhere"] = "00"
    (tmp_path / "copy" / "backup.json").write_text(json.dumps(said))
    ended = command("restore", "--dir", tmp_path / "new", tmp_path / "copy", check=False)
    assert b"is no backup of a gateway" in ended.stderr


def test_what_is_there_is_never_written_over(gateway: Gateway, tmp_path: Path) -> None:
    """Neither a gateway by a restore, nor a backup by a backup."""
    gateway.enrol()
    gateway.start()
    gateway.stop()
    copied(gateway, tmp_path / "copy")
    key = (gateway.folder / "gateway.key").read_bytes()

    again = command("backup", "--dir", gateway.folder, tmp_path / "copy", check=False)
    over = command("restore", "--dir", gateway.folder, tmp_path / "copy", check=False)

    assert (1, 1) == (again.returncode, over.returncode)
    assert b"is there already" in again.stderr
    assert b"hint: move it away first" in over.stderr
    assert key == (gateway.folder / "gateway.key").read_bytes()


@pytest.mark.parametrize("hurt", ["gateway.db", "gateway.key", "backup.json"])
def test_a_damaged_copy_is_refused(gateway: Gateway, tmp_path: Path, hurt: str) -> None:
    """A flipped bit in a backup is found before there is a gateway made of it."""
    gateway.enrol()
    gateway.start()
    gateway.stop()
    copied(gateway, tmp_path / "copy")
    path = tmp_path / "copy" / hurt
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")

    ended = command("restore", "--dir", tmp_path / "new", tmp_path / "copy", check=False)

    assert 1 == ended.returncode
    assert b"error: " in ended.stderr
    assert b"Traceback" not in ended.stderr
    assert not (tmp_path / "new" / "gateway.key").exists()
