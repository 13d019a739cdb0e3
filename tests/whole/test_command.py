"""`tally-gateway command`: an operator's word to a board in the field, with all parts real but the board."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import topics
from tools.parts import LOOPBACK
from tools.site import BIN, BOARD, Site, command, wait_for


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


def tell(site: Site, *argv: str) -> Ran:
    words: list[str | Path] = [BIN / "tally-gateway", "command", "--dir", site.gateway_folder]
    words += ["--broker", site.broker_address, *argv]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with one board that reports every half second."""
    with Site(tmp_path_factory.mktemp("site")) as made:
        made.make_keys()
        made.start_services()
        made.enrol("shed", bits=64, interval_ms=500)
        made.start("shed", [sys.executable, BOARD, made.folder / "shed", "--restart"])
        yield made


@pytest.mark.usefixtures("micropython64")
def test_a_board_obeys_and_signs_that_it_did(site: Site) -> None:
    """Broken: an operator who has to know is told `accepted` by whoever can write to the broker."""
    ran = tell(site, "shed", "report", "--json")
    assert 0 == ran.status, ran.err
    first = ran.facts
    assert ("accepted", True, "report") == (first["answer"], first["signed"], first["name"])
    again = tell(site, first["id"], "resend", "0", "--json").facts
    assert again["counter"] > first["counter"]
    assert again["seq"] > first["seq"]
    ran = tell(site, "shed", "report")
    assert (0, f"{first['id']}  report  accepted  seq ") == (
        ran.status,
        ran.out.split("seq ")[0] + "seq ",
    )
    # a reset is obeyed once, and the board comes back
    reset = tell(site, "shed", "reset", "--json").facts
    assert reset["signed"]
    assert tell(site, "shed", "report", "--json", "--wait", "40").facts["signed"]


@pytest.mark.usefixtures("micropython64")
def test_what_is_refused(site: Site) -> None:
    """Broken: an operator does not learn why nothing happens, or what would help."""
    ran = tell(site, "shed", "interval", "60000")
    assert 1 == ran.status
    assert "error: the owner allows: report identify resend reset (command.allowed)\n" in ran.err
    assert "hint: the owner allows it at the board: set config" in ran.err
    ran = tell(site, "shed", "identify", "10")
    assert "error: this board has no light (command.args)\n" == ran.err
    for argv, status, said in (
        (("barn", "report"), 1, "'barn' is not enrolled here"),
        (("shed", "identify"), 2, "0 arguments do not fit identify\nhint: identify SECONDS"),
        (("shed", "explode"), 2, "'explode' is not one of"),
        (("shed", "report", "--broker", f"{LOOPBACK}:1"), 1, f"no broker at {LOOPBACK}:1"),
        (("shed", "report", "--broker", "nowhere"), 2, "is not HOST:PORT"),
    ):
        ran = tell(site, *argv)
        assert status == ran.status, ran.err
        assert said in ran.err


@pytest.mark.usefixtures("micropython64")
def test_an_answer_that_nobody_signed(site: Site) -> None:
    """Broken: a forged `accepted` counts as the board's word."""
    site.programs["shed"].kill()
    id = str(json.loads(site.enrolment.read_text())["devices"][0]["id"])
    where = topics.Device(bytes.fromhex(id))
    liar = paho.Client(CallbackAPIVersion.VERSION2)

    def lie(client: paho.Client, _u: object, got: paho.MQTTMessage) -> None:
        if got.payload:
            counter = int((site.gateway_folder / "command-counter").read_text())
            for said in (b"\xff", b"[]", b'{"counter": 1, "seq": 0}', b'{"counter": true}'):
                client.publish(where.accepted, said)
            lied = {"counter": counter, "name": "report", "seq": 0}
            client.publish(where.accepted, json.dumps(lied))

    liar.on_message = lie
    liar.connect(LOOPBACK, site.broker.port)
    liar.subscribe(where.cmd, 1)
    liar.loop_start()
    try:
        ran = tell(site, id, "report", "--json", "--wait", "1.5")
    finally:
        liar.disconnect()
        liar.loop_stop()
    assert (3, "accepted", False) == (ran.status, ran.facts["answer"], ran.facts["signed"])
    # nobody there: the command is kept for the board that wakes up, and taken then
    ran = tell(site, id, "report", "--wait", "0.5")
    assert 1 == ran.status
    assert "no answer from the board in 0.5 s\nhint: is it connected?" in ran.err
    ran = tell(site, id, "report", "--wait", "0.5", "--keep", "--json")
    assert "the broker keeps the command for it" in ran.err
    kept = ran.facts["counter"]
    site.programs["shed"].start()

    def obeyed() -> bool:
        log = (site.folder / "shed.log").read_text(errors="replace")
        return "# command report: done" in log.rsplit("# tallystick", 1)[-1]

    wait_for("the kept command is obeyed", obeyed, 30)
    # what is kept goes with the next one, and a clock that went back changes nothing
    counter = site.gateway_folder / "command-counter"
    counter.write_text(str(kept + 1_000_000))
    facts = tell(site, id, "report", "--json").facts
    assert (kept + 1_000_001, True) == (facts["counter"], facts["signed"])
    counter.write_text("many\n")
    ran = tell(site, id, "report")
    assert 1 == ran.status
    assert "holds no counter" in ran.err


def test_a_gateway_without_a_grant(tmp_path: Path) -> None:
    """Broken: an operator waits for boards that cannot obey."""
    folder = tmp_path / "gw"
    command("tally-gateway", "init", "--dir", folder)
    argv = ["command", "--dir", str(folder), "--broker", "127.0.0.1:1"]
    done = subprocess.run(
        [BIN / "tally-gateway", *argv, "x", "report"], capture_output=True, text=True, check=False
    )
    assert 1 == done.returncode
    assert "is not enrolled here" in done.stderr
