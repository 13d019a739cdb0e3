"""Files that others rely on: the old text or the new one, never a half, and no lost change."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tallystick.errors import TallystickError
from tallystick_host import files, grants
from tallystick_host.errors import UndoneError
from tallystick_host.home import Home
from tests.world import GatewayLog, World, key


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: a full disk turns the enrolment file into half a file, and the gateway admits nobody."""
    path = tmp_path / "fleet.json"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UndoneError, match="no space left on device"):
        files.replace(path, b"new")
    assert (b"old", [path]) == (path.read_bytes(), list(tmp_path.iterdir()))


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    """Broken: a file that only the gateway's group may read is open to all after the next enrolment."""
    path = tmp_path / "fleet.json"
    path.write_bytes(b"old")
    path.chmod(0o640)
    files.replace(path, b"new")
    assert (b"new", 0o640) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))


def test_two_commands_at_once_do_not_undo_each_other(tmp_path: Path) -> None:
    """Broken: of two boards that are enrolled at the same moment one is missing, or one serial is given twice."""
    home = Home(tmp_path)
    home.make()
    owner = home.owner()
    logs = [GatewayLog(key(f"gateway {number}")) for number in range(8)]
    serials: list[int] = []

    def give(log: GatewayLog) -> None:
        serials.append(grants.for_gateway(home, log.vkey, owner).serial)

    threads = [threading.Thread(target=give, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert list(range(1, 9)) == sorted(serials)


def test_the_same_gateway_gets_the_same_grant(tmp_path: Path) -> None:
    """Broken: each enrolment raises the serial, and boards that were enrolled earlier hold an old grant."""
    home = Home(tmp_path)
    home.make()
    owner, line = home.owner(), World().log.vkey
    first = grants.for_gateway(home, line, owner)
    assert first.signed.raw == grants.for_gateway(home, line, owner).signed.raw
    first.signed.verify(owner.public)
    with pytest.raises(TallystickError):
        first.signed.verify(key("other").public)
