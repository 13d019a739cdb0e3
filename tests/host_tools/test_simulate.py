"""A fleet of virtual boards, and the whole way of one: from nothing to a record that is VERIFIED."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.host_tools import bare
from tests.host_tools.conftest import Tally
from tools.site import Site, wait_for

pytestmark = pytest.mark.usefixtures("micropython64")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("simulate") / "site") as running:
        running.make_keys()
        running.start_services()
        yield running


def processes(folder: Path) -> list[str]:
    """Argument lists of processes whose working folder, or an argument, lies in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.name == str(os.getpid()):
                continue
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words or str(folder) in os.readlink(process / "cwd"):
                found.append(words)
        except OSError:
            continue
    return found


def seen(site: Site, id: str) -> bool:
    """Has the gateway heard of this device?"""
    return bool(site.device(id).get("last_seen"))


def test_a_fleet_runs_and_ends(tally: Tally, site: Site) -> None:
    """Broken: an operator's trial run has no devices, or leaves processes behind."""
    tally.home = site.home
    folder = tally.cwd / "fleet"
    argv = [sys.executable, "-m", "tallystick_host", "simulate", "--devices", "4"]
    argv += ["--broker", site.broker_address, "--enrolment", str(site.enrolment)]
    argv += ["--gateway", site.gateway_line, "--dir", str(folder), "--interval", "500"]
    argv += ["--json"]
    running = subprocess.Popen(
        argv,
        cwd=tally.cwd,
        env=tally.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert running.stdout is not None
    ids = [json.loads(running.stdout.readline())["id"] for _ in range(4)]
    assert 4 == len(set(ids))
    for id in ids:
        wait_for(f"records of {id}", partial(seen, site, id), 30)
    assert len(processes(folder)) >= 4
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert 130 == running.returncode, err.decode()
    assert b"error: interrupted\n" == err[-len(b"error: interrupted\n") :]
    deadline = time.monotonic() + 5
    while processes(folder):
        assert time.monotonic() < deadline, processes(folder)
        time.sleep(0.1)
    # the same boards again
    again = tally(*argv[3:], "--seconds", "1")
    assert 0 == again.status, again.err
    assert set(ids) == {json.loads(line)["id"] for line in again.out.splitlines()}
    assert [] == processes(folder)


def test_ctrl_c_while_the_fleet_is_made(tally: Tally, site: Site) -> None:
    """Broken: who changes his mind has to hunt for processes."""
    tally.home = site.home
    folder = tally.cwd / "fleet"
    argv = [sys.executable, "-m", "tallystick_host", "simulate", "--devices", "30"]
    argv += ["--broker", site.broker_address, "--enrolment", "fleet.json", "--dir", str(folder)]
    running = subprocess.Popen(
        argv,
        cwd=tally.cwd,
        env=tally.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    assert 130 == running.wait(20)
    running.stdout.close()
    assert [] == processes(folder)


def test_up_from_nothing_to_verified(tally: Tally, site: Site) -> None:
    """Broken: the promise of the first page: one command, no questions, a record that is VERIFIED within a minute."""
    tally.home = site.home
    begun = time.monotonic()
    ran = tally(
        *("up", "--virtual", "new", "--enrolment", site.enrolment, "--name", "first", "--once"),
        *("--broker", site.broker_address, "--gateway", site.gateway_line, "--interval", "1000"),
        *("--gateway-url", site.gateway_url, "--json"),
    )
    assert 0 == ran.status, ran.err
    provisioned, verified = map(json.loads, ran.out.splitlines())
    assert ("first", "gateway") == (provisioned["name"], provisioned["looked_at"])
    assert ("VERIFIED", provisioned["id"]) == (verified["status"], verified["id"])
    assert time.monotonic() - begun < 60
    assert [] == processes(tally.cwd / "new")


def test_up_on_a_serial_port(tally: Tally, site: Site) -> None:
    """Broken: the same command with a real port in the place of a folder does something else."""
    tally.home = site.home
    with bare.boards(tally.cwd, 1) as (board,):
        ran = tally(
            *("up", "--no-flash", "--port", str(board.port), "--board", "VIRTUAL", "--once"),
            *("--enrolment", site.enrolment, "--name", "second", "--broker", site.broker_address),
            *("--gateway", site.gateway_line, "--gateway-url", site.gateway_url),
            *("--interval", "500"),
        )
    assert 0 == ran.status, ran.err
    enrolled, verified = ran.out.splitlines()
    assert enrolled.endswith("  second")
    assert verified.endswith("  VERIFIED")
    assert enrolled.split()[0] == verified.split()[0]
    stages = [line.split(":")[0] for line in ran.err.splitlines() if not line.startswith(" ")]
    for stage in ("preparing", "writing", "waiting", "enrolling", "checking", "verifying"):
        assert stage in stages


def test_the_log_of_a_board(tally: Tally, site: Site) -> None:
    """Broken: nobody sees what a board does without a terminal program and its manual."""
    tally.home = site.home
    argv = ("--enrolment", site.enrolment, "--virtual", "talking", "--broker", site.broker_address)
    assert 0 == tally("enrol", *argv, "--gateway", site.gateway_line, "--interval", "500").status
    ran = tally("logs", "--virtual", "talking", "--seconds", "6")
    assert 0 == ran.status, ran.err
    lines = ran.out.splitlines()
    assert any("acknowledged up to" in line for line in lines), lines
    assert any("signed" in line for line in lines)
