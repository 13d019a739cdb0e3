"""`tally doctor` finds each known trouble, and says what to do; and nothing where all is well."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host_tools.conftest import Tally
from tests.parts import ROOT, free_port
from tools.site import Site, wait_for

BOARD = ROOT / "firmware" / "virtual" / "board.py"


def findings(tally: Tally, *argv: str | Path) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit status, and code -> finding."""
    ran = tally("doctor", "--json", *argv)
    assert "Traceback" not in ran.err
    found = [json.loads(line) for line in ran.out.splitlines()]
    for one in found:
        assert bool(one["remedy"]) == (one["result"] != "good"), one
    return ran.status, {one["code"]: one for one in found}


def troubles(found: dict[str, dict[str, str]]) -> set[str]:
    return {code for code, one in found.items() if one["result"] == "trouble"}


def test_a_desk_with_nothing_on_it(tally: Tally) -> None:
    """Broken: a new user's first question is answered by a traceback, or by `all is well`."""
    status, found = findings(tally, "--no-board")
    assert 1 == status
    assert {"home.keys", "policy.missing"} == troubles(found)
    tally("init")
    status, found = findings(tally, "--no-board")
    assert (1, {"policy.gateway"}) == (status, troubles(found))
    ran = tally("doctor", "--no-board")
    assert "trouble  the policy trusts no gateway" in ran.out
    assert '-> tally policy trust gateway "$(tally-gateway identity)"' in ran.out


def test_no_port(tally: Tally) -> None:
    """Broken: a board that is not there is not said to be so."""
    status, found = findings(tally, "--port", "nowhere")
    assert 1 == status
    assert "port.open" in troubles(found)
    status, found = findings(tally, "--port", "id:none")
    assert "port.none" in troubles(found)


def test_services_that_are_down(tally: Tally) -> None:
    """Broken: a broker or gateway that does not answer keeps the doctor, too, from answering."""
    dead = free_port()
    argv = ("--no-board", "--broker", f"127.0.0.1:{dead}", "--enrolment", "nowhere.json")
    status, found = findings(tally, *argv, "--gateway-url", f"http://127.0.0.1:{dead}")
    assert 1 == status
    assert {"broker.down", "gateway.down", "enrolment"} <= troubles(found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with one enrolled board, `one`, that runs on a serial port."""
    with Site(tmp_path_factory.mktemp("doctor") / "site") as running:
        running.make_keys()
        running.start_services()
        running.enrol("one", bits=64, interval_ms=500)
        yield running


class OnPort:
    """The board of `site`, behind a serial port."""

    def __init__(self, site: Site) -> None:
        self.folder = site.folder / "one"
        self.port = self.folder / "tty"
        self._process = subprocess.Popen(
            [sys.executable, str(BOARD), str(self.folder), "--pty", str(self.port)],
            stderr=subprocess.DEVNULL,
        )
        wait_for("the port", self.port.exists, 30)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def board(site: Site) -> Iterator[OnPort]:
    on_port = OnPort(site)
    try:
        yield on_port
    finally:
        on_port.close()
        (on_port.folder / "world.json").unlink(missing_ok=True)


def everything(site: Site, board: OnPort) -> tuple[str | Path, ...]:
    named = ("--port", str(board.port), "--board", "VIRTUAL", "--broker", site.broker_address)
    return (*named, "--gateway-url", site.gateway_url, "--enrolment", site.enrolment)


def eventually(tally: Tally, wanted: set[str], *argv: str | Path) -> None:
    """The doctor comes to say exactly this within half a minute: boards take their time."""
    deadline = time.monotonic() + 30
    while True:
        status, found = findings(tally, *argv)
        if wanted == troubles(found):
            assert (1 if wanted else 0) == status
            return
        assert time.monotonic() < deadline, [found[code] for code in troubles(found)]
        time.sleep(1)


@pytest.mark.usefixtures("micropython64")
def test_all_is_well(tally: Tally, site: Site, board: OnPort) -> None:
    """Broken: the doctor finds troubles where there are none, and nobody asks it again."""
    tally.home = site.home
    eventually(tally, set(), *everything(site, board))
    _, found = findings(tally, *everything(site, board))
    assert {"good"} == {one["result"] for one in found.values()}


@pytest.mark.usefixtures("micropython64")
def test_a_wrong_wifi_password(tally: Tally, site: Site) -> None:
    """Broken: the commonest trouble in the field looks like any other."""
    tally.home = site.home
    world = site.folder / "one" / "world.json"
    world.write_text(json.dumps({"password": "another", "clock": "host"}))
    on_port = OnPort(site)
    try:
        eventually(tally, {"board.password"}, *everything(site, on_port))
    finally:
        on_port.close()
        world.unlink()


@pytest.mark.usefixtures("micropython64")
def test_a_board_that_is_not_what_it_should_be(
    tally: Tally, site: Site, board: OnPort, tmp_path: Path
) -> None:
    """Broken: a mixed-up board, owner or file is not told from a good one."""
    tally.home = site.home
    named = ("--port", str(board.port), "--board", "ESP32_GENERIC_C3")
    _, found = findings(tally, *named)
    assert "board.kind" in troubles(found)
    other = tmp_path / "other.json"
    table = json.loads(site.enrolment.read_text())
    table["devices"] = []
    other.write_text(json.dumps(table))
    _, found = findings(tally, "--port", str(board.port), "--enrolment", other)
    assert "enrolment.device" in troubles(found)
    table["grant"] = None
    other.write_text(json.dumps(table))
    _, found = findings(tally, "--port", str(board.port), "--enrolment", other)
    assert "enrolment.grant" in troubles(found)
    tally.home = tmp_path / "stranger"
    tally("init")
    _, found = findings(tally, "--port", str(board.port))
    assert "board.owner" in troubles(found)


@pytest.mark.usefixtures("micropython64")
def test_a_board_without_anything(tally: Tally, tmp_path: Path) -> None:
    """Broken: a board that was never provisioned is not known for what it is."""
    tally("init")
    _, found = findings(tally, "--virtual", _made(tmp_path / "new"))
    assert {"board.owner", "board.waiting", "board.clock", "board.grant"} <= troubles(found)
    shutil.rmtree(tmp_path / "new")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_the_codes_of_the_page_are_those_of_the_command() -> None:
    """Broken: who looks up a code finds another one in docs/boards.md, or none."""
    page = (ROOT / "docs" / "boards.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")]
    listed = {code for row in rows if len(row) == 5 for code in re.findall("`([a-z.-]+)`", row[2])}
    source = "".join(path.read_text() for path in (ROOT / "host_tools").glob("*.py"))
    assert [] == [code for code in sorted(listed) if f'"{code}"' not in source]
    found = set(re.findall(r'Finding\(\s*"([a-z]+\.[a-z]+)",\s*TROUBLE', source))
    assert len(found) > 10
    rare = {"home.exposed", "broker.mqtt", "broker.refused", "enrolment.gateway"}
    assert set() == found - listed - rare
