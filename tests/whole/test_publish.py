"""`tally update publish` against the gateway's carrier and boards of a few lines, over a real broker: what an engineer
reads when something is not as it should be.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import topics
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey
from tallystick.update import parse_manifest
from tallystick_gateway.mqtt import Login
from tallystick_gateway.updates.carrier import Carrier
from tallystick_gateway.updates.folder import UpdateFolder
from tests.firmware.new_agents import packed, packed_program, program
from tests.parts import LOOPBACK, Broker
from tools.site import BIN

FILES = {"boot.py": b"", "main.py": b"", "tally/life.mpy": b"M\x06\x00\x1flife"}
DEVICE = bytes(range(8))


class Folder(UpdateFolder):
    """A gateway's folder that forgets what was coming in, as a restart does. pieces: as they came."""

    forgets_at = -1
    pieces = 0

    def take(self, id: bytes, size: int, offset: int, data: bytes) -> int:
        self.pieces += bool(data)
        if self.pieces == self.forgets_at:
            self._coming.clear()
        return super().take(id, size, offset, data)


class Desk:
    """An engineer's desk, a broker, a gateway that carries updates, and one board that says what it is told to."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder, self.broker = folder, broker
        self.key = PrivateKey.generate()
        self.gateway = PrivateKey.generate()
        kid = self.gateway.public.kid
        self.line = str(VerifierKey(f"tallystick/{kid.hex()}", self.gateway.public))
        self.kept = Folder(folder / "updates")
        self.enrolled = {DEVICE}
        login = Login(LOOPBACK, broker.port, "carrier", None, None, None)
        self.carrier = Carrier(login, kid, self.kept, lambda: self.enrolled)
        self.carrier.start()
        self.says: Callable[[int], dict[str, object]] = lambda _: {}
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._on_message
        self.client.connect(LOOPBACK, broker.port)
        self.client.subscribe(topics.Device(DEVICE).update, 1)
        self.client.loop_start()

    def close(self) -> None:
        self.client.loop_stop()
        self.client.disconnect()
        self.carrier.stop()

    def said(self, **facts: object) -> None:
        raw = json.dumps(facts)
        self.client.publish(topics.Device(DEVICE).update_state, raw, 1, True)

    def _on_message(self, client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        facts = self.says(parse_manifest(bytes(message.payload)).counter) if message.payload else {}
        if facts:
            self.said(**facts)

    def tally(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ, NO_COLOR="1", TALLY_HOME=str(self.folder / "home"))
        words = [str(BIN / "tally"), "update", *map(str, argv)]
        return subprocess.run(
            words, capture_output=True, text=True, env=environment, timeout=100, check=False
        )

    def publish(self, raw: bytes, *argv: str) -> subprocess.CompletedProcess[str]:
        path = self.folder / "one.tallyup"
        path.write_bytes(raw)
        where = ("--broker", f"{LOOPBACK}:{self.broker.port}", "--gateway", self.line)
        return self.tally("publish", path, *where, *argv)


@pytest.fixture
def desk(tmp_path: Path, broker: Broker) -> Iterator[Desk]:
    made = Desk(tmp_path, broker)
    try:
        yield made
    finally:
        made.close()


def test_a_gateway_that_starts_anew(desk: Desk) -> None:
    """Broken: who publishes from a hill begins by hand again and again."""
    desk.kept.forgets_at = 3
    one = packed_program(desk.key, 5, program(os.urandom(200_000)))
    ran = desk.publish(one.raw, "--all")
    assert 0 == ran.returncode, ran.stderr
    assert one == desk.kept.get(one.id)
    assert 7 + 3 == desk.kept.pieces  # what it had forgotten came again
    assert "update 5 is offered to 1 board\n" in ran.stderr
    assert "tally update status shows how far they are" in ran.stderr


def test_what_a_board_had_said_before(desk: Desk) -> None:
    """Broken: a board that once had no room is called refused for ever, without having been asked again."""
    desk.said(counter=5, state="refused", code="update.space", detail="9 bytes are needed")
    one = packed(desk.key, 5, FILES)
    ran = desk.publish(one.raw, "--device", DEVICE.hex(), "--wait", "2")
    assert (3, f"{DEVICE.hex()}  5  not said\n") == (ran.returncode, ran.stdout)
    desk.says = lambda counter: {"counter": counter, "state": "done", "version": "9"}
    ran = desk.publish(one.raw, "--all", "--wait", "20", "--json")
    assert (0, "done") == (ran.returncode, json.loads(ran.stdout)["state"]), ran.stderr
    # one that runs it already has said so, and says no more
    desk.says = lambda _: {}
    ran = desk.publish(one.raw, "--device", DEVICE.hex(), "--wait", "20")
    assert (0, f"{DEVICE.hex()}  5  done  9\n") == (ran.returncode, ran.stdout)


def test_a_board_that_pins_another_key(desk: Desk) -> None:
    """Broken: an engineer waits to the end for a board that has said long ago that it takes nothing of him."""
    desk.says = lambda _: {
        "counter": None,
        "state": "refused",
        "code": "update.key",
        "detail": "this board takes no updates",
    }
    ran = desk.publish(packed(desk.key, 5, FILES).raw, "--all", "--wait", "90")
    said = f"{DEVICE.hex()}  -  refused  this board takes no updates (update.key)\n"
    assert (1, said) == (ran.returncode, ran.stdout), ran.stderr


def test_nobody_is_meant(desk: Desk) -> None:
    """Broken: an update that goes to no board at all looks like one that was published."""
    one = packed(desk.key, 5, FILES)
    stranger = bytes(8).hex()
    ran = desk.publish(one.raw, "--device", stranger)
    assert 5 == ran.returncode
    assert f"warning: {stranger} is not enrolled at this gateway" in ran.stderr
    assert "none of these boards is enrolled at this gateway (update.nobody)" in ran.stderr
    desk.enrolled.clear()
    ran = desk.publish(one.raw, "--all", "--wait", "5")
    assert (5, "") == (ran.returncode, ran.stdout)
    assert "no board is enrolled at this gateway (update.nobody)\nhint: tally devices" in ran.stderr


def test_ctrl_c(desk: Desk) -> None:
    """Broken: who does not want to wait sees a traceback, and does not know whether the offer stands."""
    path = desk.folder / "one.tallyup"
    path.write_bytes(packed(desk.key, 5, FILES).raw)
    words = [str(BIN / "tally"), "update", "publish", str(path), "--all", "--wait", "90"]
    words += ["--broker", f"{LOOPBACK}:{desk.broker.port}", "--gateway", desk.line]
    environment = dict(os.environ, NO_COLOR="1", TALLY_HOME=str(desk.folder / "home"))
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stderr is not None
        while "is offered to 1 board" not in running.stderr.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=20)
    assert 130 == running.returncode
    assert "Traceback" not in said


def test_who_is_silent(desk: Desk, tmp_path: Path) -> None:
    """Broken: a mistyped address, a gateway that is down and a file of somebody else read alike."""
    one = packed(desk.key, 5, FILES)
    assert 0 == desk.tally("keygen").returncode
    ran = desk.publish(one.raw, "--all")
    assert 1 == ran.returncode
    assert "hint: boards take updates of the key that was pinned" in ran.stderr
    (tmp_path / "home" / "update.pub").unlink()
    desk.carrier.stop()
    ran = desk.publish(one.raw, "--all")
    assert 5 == ran.returncode
    assert "there is no update.pub here" in ran.stderr
    assert "no answer of the gateway in 15 s (gateway.silent)\nhint: does it run" in ran.stderr
    assert "may this login publish updates?" in ran.stderr
    ran = desk.tally("status", "--broker", f"{LOOPBACK}:1")
    assert (5, "(broker.unreachable)\nhint: is it running" in ran.stderr) == (ran.returncode, True)
