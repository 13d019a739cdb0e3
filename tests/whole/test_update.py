"""An update of a board in the field, from the engineer's key to the verdict, with all parts real but the board."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick.body import Event, EventCode, Open
from tallystick.proof import parse
from tests.firmware.new_agents import agent, compiled
from tools.site import BIN, BOARD, Site, command, wait_for

PATIENCE_S = 60


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


def tally(site: Site, *argv: str | Path, kill_after_s: float | None = None) -> Ran:
    environment = dict(os.environ, NO_COLOR="1", TALLY_HOME=str(site.home))
    words = [str(BIN / "tally"), "update", *map(str, argv)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        try:
            out, err = running.communicate(timeout=kill_after_s or 100)
        except subprocess.TimeoutExpired:
            running.kill()
            out, err = running.communicate()
        assert "Traceback" not in err
        return Ran(running.returncode, out, err)


def publish(site: Site, path: Path, *argv: str) -> Ran:
    where = ("--broker", site.broker_address, "--gateway", site.gateway_line)
    return tally(site, "publish", path, *where, "--enrolment", site.enrolment, *argv)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with one board that pins the update key."""
    with Site(tmp_path_factory.mktemp("site")) as made:
        made.make_keys()
        made.start_services()
        made.enrol("shed", bits=64, interval_ms=500)
        assert 0 == tally(made, "keygen").status
        command(
            *("tally", "enrol", "--enrolment", made.enrolment, "--virtual", made.folder / "shed"),
            *("--name", "shed", "--update-key", made.home / "update.pub"),
            home=made.home,
        )
        made.start("shed", [sys.executable, BOARD, made.folder / "shed", "--restart"])
        yield made


def folder_of(files: dict[str, bytes], target: Path) -> Path:
    for path, data in files.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return target


@pytest.mark.usefixtures("micropython64")
def test_an_update_from_the_key_to_the_verdict(site: Site, tmp_path: Path) -> None:
    """Broken: an engineer cannot bring a board up to date without driving to it, or nobody can tell that he did."""
    id = str(json.loads(site.enrolment.read_text())["devices"][0]["id"])
    files = agent()
    files["tally/version.mpy"] = compiled(tmp_path / "new", "version", 'VERSION = "9.0.0"\n')
    made = tally(
        *(site, "make", "--architecture", "x64", "--agent", folder_of(files, tmp_path / "good")),
        *("--agent-version", "9.0.0", "--counter", "5", "-o", tmp_path / "good.tallyup", "--json"),
    )
    assert 0 == made.status, made.err
    digest = made.facts["digest"]
    assert 0 == tally(site, "check", tmp_path / "good.tallyup").status
    ran = publish(site, tmp_path / "good.tallyup", "--device", "shed", "--wait", "60", "--json")
    assert (0, "done") == (ran.status, ran.facts["state"]), ran.err
    # one that does not live is undone, and its end is told
    files["tally/life.mpy"] = compiled(
        tmp_path / "bad", "life", "import machine\nmachine.reset()\n"
    )
    bad = tmp_path / "bad.tallyup"
    ran = tally(
        *(site, "make", "--architecture", "x64", "--agent", folder_of(files, tmp_path / "dead")),
        *("--counter", "6", "--agent-version", "9.1.0", "-o", bad),
    )
    assert (0, f"{bad}\n") == (ran.status, ran.out)
    ran = publish(site, bad, "--all", "--wait", "60", "--json")
    assert (1, "undone") == (ran.status, ran.facts["state"]), ran.err
    state = tally(site, "status", "--broker", site.broker_address, "--json").facts
    assert (6, "undone", "9.0.0") == (state["counter"], state["state"], state["version"])
    # an old one does not come back
    ran = publish(site, tmp_path / "good.tallyup", "--device", id, "--wait", "60")
    assert 1 == ran.status
    assert f"{id}  5  refused  not above 6 (update.counter)\n" == ran.out
    where = ("--broker", site.broker_address, "--gateway", site.gateway_line, "--all")
    assert 0 == tally(site, "withdraw", *where).status
    # and all of it stands in the chain, for whoever has the policy and the file
    proof = tmp_path / "all.tally"
    last = site.device(id)["upto"]
    wait_for("it is anchored", lambda: (site.device(id).get("anchored") or -1) >= last, 30)
    words: list[str | Path] = [
        "tally",
        "prove",
        id,
        f"0..{last}",
        "--gateway",
        site.gateway_url,
        "-o",
        proof,
    ]
    command(*words, home=site.home)
    said = json.loads(command("tally", "verify", "--json", proof, home=site.home))
    assert "VERIFIED" == said["status"]
    records = parse(proof.read_bytes()).records
    digests = [one.body.digest.hex() for one in records if isinstance(one.body, Open)]
    assert digest == digests[-1]
    assert digest in digests[:-1]
    events = [one.body for one in records if isinstance(one.body, Event)]
    told = [one.args for one in events if one.code == EventCode.UPDATE]
    assert [(b"0.1.0", b"9.0.0", 0), (b"9.0.0", b"9.1.0", 1)] == told
