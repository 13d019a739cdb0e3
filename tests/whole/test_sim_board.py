"""A board whose key is in its SIM card and whose way out is the modem: from the first start to VERIFIED, with a modem
that hangs on the way, and on in another board. All parts are real but the board, the modem and the card.

If this fails, the user of a cellular board has records that no verifier takes, or a card that is bound to one board.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick import policy, proof
from tallystick.body import Event, EventCode
from tests import independent_verifier
from tests.firmware import cellular
from tools.parts import ROOT
from tools.site import BOARD, Site, command, wait_for

INTERVAL_MS = 400
HANG_AFTER = 70  # commands since power-on: a connection is up by then, and some records are signed
HANGS = 2


def provision(site: Site, folder: Path, key: str, pin: Path) -> str:
    """Have the board in `folder`, which knows only its modem's wires, made a device by the real command; its id."""
    port = folder / "tty"
    board = site.start(f"{folder.name}-cable", [sys.executable, BOARD, folder, "--pty", port])
    wait_for("the board is plugged in", port.exists, 30)
    command(
        *(
            "tally",
            "provision",
            "--enrolment",
            site.enrolment,
            "--port",
            port,
            "--board",
            "VIRTUAL",
        ),
        *("--name", "pump", "--apn", "internet", "--key", key, "--no-login"),
        *(("--card-pin-file", pin) if key == "signit" else ()),
        *("--gateway", site.gateway_line, "--broker", site.broker_address),
        *("--interval", str(INTERVAL_MS)),
        home=site.home,
    )
    board.stop()
    (device,) = json.loads(site.enrolment.read_text())["devices"]
    return str(device["id"])


def said(site: Site, name: str) -> str:
    """What a board has said so far."""
    return (site.folder / f"{name}.log").read_text(errors="replace")


def has(site: Site, device: str, upto: int) -> bool:
    """Whether the gateway has the chain up to there."""
    return int(site.device(device).get("upto") or 0) >= upto


def proven(site: Site, device: str, what: str, name: str) -> Path:
    """A proof of these records, with their anchor, which `tally verify` calls VERIFIED."""
    path = site.folder / name

    def verified() -> bool:
        command(
            *("tally", "prove", device, what, "--gateway", site.gateway_url, "-o", path, "--force"),
            home=site.home,
            ok=(0, 5),  # no checkpoint covers it yet
        )
        if not path.exists():
            return False
        answer = command("tally", "verify", path, "--json", home=site.home, ok=range(6))
        return bool(json.loads(answer.splitlines()[0])["status"] == "VERIFIED")

    wait_for(f"{what} is VERIFIED", verified, 60)
    return path


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("micropython64")
@pytest.mark.parametrize(("model", "key"), [("SIM7600", "iot-safe"), ("SIM7000", "signit")])
def test_a_card_from_its_first_board_to_the_next(tmp_path: Path, model: str, key: str) -> None:
    """The identity of the card is enrolled, verified by every verifier, and goes on in a spare board. Both dialects of
    MQTT, both applets."""
    card = ("--card", str(tmp_path / "card.json"), "--applet", key)
    pin = tmp_path / "pin"
    pin.write_text("1234\n")
    with Site(tmp_path / "site") as site:
        site.make_keys()
        site.start_services()
        first, spare = site.folder / "first", site.folder / "spare"
        for folder in (first, spare):
            cellular.lay_out(folder, modem_args=cellular.settings(model)["modem_args"])
        port = site.broker.port
        with cellular.Modem(first, model, port, *card) as modem:
            device = provision(site, first, key, pin)
            modem.be(hang_after=HANG_AFTER)
            program = site.start("first", [sys.executable, BOARD, first, "--restart"])
            wait_for("it hangs twice", lambda: said(site, "first").count("hangs") >= HANGS, 120)
            modem.be(hang_after=None)
            upto = int(site.device(device).get("upto") or 0) + 4
            wait_for("the board goes on", lambda: has(site, device, upto), 60)
            program.kill()
        path = proven(site, device, f"0..{upto}", "first.tally")
        assert -9 == proof.parse(path.read_bytes()).records[0].signed.alg
        every_verifier(site, device, path)
        held = int(site.device(device)["upto"])
        with cellular.Modem(spare, model, port, *card):
            assert device == provision(site, spare, key, pin)
            site.start("spare", [sys.executable, BOARD, spare, "--restart"])
            wait_for("the chain goes on", lambda: has(site, device, held + 6), 60)
        path = proven(site, device, f"0..{held + 6}", "spare.tally")
        bodies = [one.body for one in proof.parse(path.read_bytes()).records]
        events = [body for body in bodies if isinstance(body, Event)]
        assert 1 == [event.code for event in events].count(EventCode.ADOPTED)
        assert all(event.args for event in events)
        every_verifier(site, device, path)


def every_verifier(site: Site, device: str, path: Path) -> None:
    """Two verifiers that share no code with ours agree; the shortest one knows a record at a time."""
    issuer = trusted(site)
    trust = ([issuer], [site.gateway_line], [site.ledger_line])
    checks = independent_verifier.verify(path.read_bytes(), *trust)
    assert "VERIFIED" == independent_verifier.verdict(checks), checks
    newest = proof.parse(path.read_bytes()).records[-1].seq
    path = proven(site, device, str(newest), "one.tally")
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "verifier.py", path, issuer, *trust[1], *trust[2]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "VERIFIED" == done.stdout.split()[0], done.stdout


def trusted(site: Site) -> str:
    """The issuer's DID, as the policy of the laptop has it."""
    issuers = policy.parse(site.policy.read_bytes()).issuers
    (issuer,) = issuers
    return str(issuer.did)
