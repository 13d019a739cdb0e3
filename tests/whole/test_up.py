"""`tally up` from a board out of the box to a record that the policy calls VERIFIED: one port, one command.

The real esptool flashes a simulated chip, which then is a virtual board on the same port for the real mpremote; broker,
gateway and ledger are the real ones. All the way it is watched that the private key stays where it was made.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tallystick import did
from tests.host_tools import chips
from tests.host_tools.bare import Bug, Tap
from tests.parts import ROOT
from tools.site import BIN, Site, wait_for

SIMULATOR = ROOT / "firmware" / "virtual" / "bare_board.py"
KIND = "esp32c3"
PASSWORD = "correct horse battery"


class Watch:
    """The argument lists of all processes, as every user of the machine can read them, while it is open."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)

    def _look(self) -> None:
        known: set[bytes] = set()
        while not self._ended.wait(0.01):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    words = (folder / "cmdline").read_bytes()
                except OSError:
                    continue
                if words not in known:
                    known.add(words)
                    self.seen += words + b"\n"


def forms(secret: bytes) -> list[bytes]:
    """How bytes may be written on a wire or in a file."""
    return [
        secret,
        secret.hex().encode(),
        secret.hex().upper().encode(),
        base64.b64encode(secret).rstrip(b"="),
        base64.urlsafe_b64encode(secret).rstrip(b"="),
        repr(list(secret)).encode()[1:-1],
        repr(secret)[2:-1].encode(),
    ]


def seed(folder: Path) -> bytes:
    """What nobody but the board may ever have: read from its simulated storage, as only a test may."""
    entry = json.loads((folder / "board" / "nvs.json").read_text())["tally"]["key"]
    return bytes.fromhex(entry)[:32]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as made:
        made.make_keys()
        made.start_services()
        yield made


@pytest.mark.usefixtures("micropython64")
def test_out_of_the_box_to_verified(tmp_path: Path, site: Site) -> None:
    """Broken: a field engineer has to know a step between the box and the first reading that counts; or the one promise
    that everything stands on: the private key never leaves the board."""
    image = chips.image(KIND)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{chips.BOARDS[KIND]}-20250911-v1.26.1.bin").write_bytes(image)
    (tmp_path / "password").write_text(PASSWORD)
    box = tmp_path / "box"
    port = tmp_path / "usb"
    site.start("box", [sys.executable, SIMULATOR, box, "--chip", KIND, "--pty", port])
    wait_for("the board is plugged in", port.exists, 20)
    said = bytearray()

    def tally(*argv: str | Path) -> list[dict[str, Any]]:
        done = subprocess.run(
            [BIN / "tally", *argv],
            cwd=tmp_path,
            env={**os.environ, "TALLY_HOME": str(site.home), "COLUMNS": "120"},
            capture_output=True,
            timeout=120,
            check=False,
        )
        said.extend(done.stdout + done.stderr)
        assert 0 == done.returncode, done.stderr.decode()
        return [json.loads(line) for line in done.stdout.splitlines()]

    bug, tap = Bug(port, tmp_path / "bugged"), Tap(site.broker.port)
    up: list[str | Path] = ["up", "--port", bug.link, "--images", "images", "--once", "--json"]
    up += ["--enrolment", site.enrolment, "--name", "tank-7", "--broker", tap.address]
    up += ["--gateway", site.gateway_line, "--gateway-url", site.gateway_url]
    up += ["--wifi", "Shed", "--wifi-password-file", "password"]
    up += ["--interval", "500", "--labels", "labels"]
    # the verifier takes readings of such boards alone: what was flashed stands in the credential
    policy = site.policy.read_text()
    site.policy.write_text(f'{policy}\n[require]\nboards = ["{chips.BOARDS[KIND]}"]\n')
    try:
        with Watch() as watch:
            start = time.monotonic()
            facts, verdict = tally(*up)
            print(f"tally up, from the box to VERIFIED: {time.monotonic() - start:.1f} s")
            seeds = [seed(box)]
            assert (facts["id"], "VERIFIED") == (verdict["id"], verdict["status"])
            assert facts["files_written"] > 20
            # the image is on the chip, byte for byte, and the board is the one that was flashed
            flash = (box / "chip.bin").read_bytes()
            assert image == flash[chips.OFFSETS[KIND] :][: len(image)]
            # once more, over the running board: it is flashed anew, and stays who it is
            again, verdict = tally(*up)
            assert (facts["id"], [], 0) == (again["id"], again["changed"], again["files_written"])
            assert "VERIFIED" == verdict["status"]
            assert seeds == [seed(box)]
            rotate = ("device", "rotate", "tank-7", "--enrolment", site.enrolment)
            (rotated,) = tally(*rotate, "--port", bug.link, "--json")
            assert rotated["id"] == facts["id"]
            seeds.append(seed(box))
            assert seeds[0] != seeds[1]
            # a rotated board is enrolled again like any other, and its records go on being verified
            again, verdict = tally(*up, "--no-flash")
            assert (facts["id"], "VERIFIED") == (again["id"], verdict["status"])
    finally:
        bug.close()
        tap.close()
        site.stop()
    places = {"said": bytes(said), "wire": bytes(bug.heard), "mqtt": bytes(tap.heard)}
    places["arguments"] = bytes(watch.seen)
    # the ears are open
    assert did.public_key(facts["did"]).raw.hex().encode() in places["wire"]
    assert b"challenge" in places["wire"]
    assert f"tallystick/v1/{facts['id']}/up".encode() in places["mqtt"]
    assert b"mpremote" in places["arguments"]
    assert b"write-flash" in places["arguments"]
    # every file on the host: keys, labels and enrolment, the logs and stores of the services, what mosquitto keeps
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_relative_to(box):
            places[str(path)] = path.read_bytes()
    assert len(places) > 20
    for place, data in places.items():
        for secret in seeds:
            for form in forms(secret):
                assert form not in data, f"the private key is in {place}"
    # a password goes to the board, and nowhere else
    for place in ("said", "arguments", "mqtt"):
        assert PASSWORD.encode() not in places[place]
