"""A board's login: made at provisioning, checked by a real mosquitto from what the enrolment file holds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.parts import LOOPBACK, Broker
from tools.site import BOARD, command


@pytest.mark.usefixtures("micropython64")
def test_a_broker_that_lets_in_who_is_enrolled(tmp_path: Path) -> None:
    """Broken: a broker with logins lets no board in, or everybody."""
    passwords, fleet = tmp_path / "passwords", tmp_path / "fleet.json"
    passwords.write_text("")
    config = f"allow_anonymous false\npassword_file {passwords}"
    with Broker(tmp_path / "broker", config=config) as broker:
        command("tally", "init", home=tmp_path / "home")
        for name in ("one", "two"):
            argv: list[str | Path] = ["--virtual", tmp_path / name, "--name", name]
            command(
                *("tally", "enrol", "--enrolment", fleet, "--broker", f"{LOOPBACK}:{broker.port}"),
                *argv,
                home=tmp_path / "home",
            )
        one, _two = json.loads(fleet.read_text())["devices"]
        # the second board is enrolled, and the operator has not given it to the broker
        passwords.write_text(f"{one['id']}:{one['login']}\n")
        broker.stop()
        broker.start()
        assert said(tmp_path / "one", "# connected to ")
        assert said(tmp_path / "two", "# the broker refuses ")
    assert one["login"].startswith("$7$")
    settings = json.loads((tmp_path / "one" / "flash" / "config.json").read_text())
    assert one["id"] == settings["broker_user"]
    for path in (fleet, tmp_path / "broker" / "mosquitto.log"):
        assert settings["broker_password"] not in path.read_text()


def said(board: Path, line: str) -> bool:
    """Does the board say so, within a minute?"""
    log = board.with_suffix(".log")
    with log.open("wb") as out:
        running = subprocess.Popen(
            [sys.executable, BOARD, board], stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + 60
        while line not in log.read_text(errors="replace"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True
    finally:
        running.kill()
        running.wait()
