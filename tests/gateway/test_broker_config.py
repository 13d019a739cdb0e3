"""`tally-gateway broker-config`: what it writes, in a real mosquitto, with TLS and logins.

If this fails, a board can speak as another, a stranger gets in, or the gateway cannot see its own past.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import limits, topics
from tallystick.keys import PrivateKey
from tallystick_gateway import authority, broker_files
from tests.gateway.boards import Board
from tests.gateway.running import Gateway, command, eventually
from tests.parts import LOOPBACK, free_port, mosquitto

NOT_AUTHORISED = 0x87
LEDGER = PrivateKey.from_seed(b"ledger".ljust(32, b"\0"))


class Site:
    """The gateway's folder, the broker's files, and a broker that runs with them."""

    def __init__(self, folder: Path) -> None:
        from tallystick import block, checkpoint
        from tallystick.note import VerifierKey

        self.folder, self.out = folder, folder / "broker"
        self.tls, self.plain = free_port(), free_port()
        genesis = block.sign_genesis(LEDGER, 1_780_000_000, "site")
        self.ledger = block.ledger_id(genesis)
        self.line = str(VerifierKey(checkpoint.ledger_name(self.ledger), LEDGER.public))
        self.gateway = Gateway(folder / "gw", self.plain, self.line)
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, *extra: str) -> subprocess.CompletedProcess[bytes]:
        """Run the command."""
        return command(
            *("broker-config", "--dir", str(self.folder / "gw"), "--ledger", self.line),
            *("--out", str(self.out), "--host", LOOPBACK, "--host", "gw.local"),
            *("--port", str(self.tls), "--local", f"{LOOPBACK}:{self.plain}"),
            *("--state", str(self.folder / "state"), "--prefix", "homeassistant", *extra),
        )

    def start(self) -> None:
        """Start mosquitto with the files as they are."""
        (self.folder / "state").mkdir(exist_ok=True)
        conf = self.folder / "running.conf"
        # as root it would become a user who cannot read this folder
        user = "user root\n" if os.getuid() == 0 else ""
        conf.write_text(user + (self.out / "mosquitto.conf").read_text())
        self.log = self.folder / "mosquitto.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*mosquitto(), "-c", str(conf)], stderr=log)
        for port in (self.tls, self.plain):
            eventually(lambda p=port: _accepts(p) or None, f"mosquitto: {self.log.read_text()}")  # type: ignore[misc]

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    def password(self, login: str) -> str:
        """What broker-config made for it."""
        return (self.out / "logins" / login).read_text().strip()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


class Client:
    """A client of the broker: says what the broker answers (MQTT 5 tells the reasons)."""

    def __init__(self, site: Site, login: str | None, password: str | None, *, tls: bool) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if login is not None:
            self.client.username_pw_set(login, password)
        if tls:
            self.client.tls_set(ca_certs=str(site.out / "ca.pem"), cert_reqs=ssl.CERT_REQUIRED)
        self.answers: dict[int, int] = {}
        self.messages: dict[str, bytes] = {}
        self.connected: list[int] = []
        self.lost = threading.Event()
        self.client.on_connect = lambda _c, _u, _f, reason, _p: self.connected.append(reason.value)
        self.client.on_publish = self._on_publish
        self.client.on_message = self._on_message
        self.client.on_disconnect = lambda *_: self.lost.set()
        self.client.connect(LOOPBACK, site.tls if tls else site.plain)
        self.client.loop_start()
        eventually(lambda: self.connected or None, "an answer to CONNECT")

    def _on_publish(self, _c: Any, _u: Any, mid: int, reason: Any, _p: Any) -> None:
        self.answers[mid] = reason.value

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        self.messages[message.topic] = bytes(message.payload)

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> int:
        """The broker's reason code."""
        mid = self.client.publish(topic, payload, qos=1, retain=retain).mid
        return eventually(lambda: (self.answers.get(mid, -1) + 1) or None, "PUBACK") - 1

    def close(self) -> None:
        """Leave."""
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def client(site: Site, login: str | None, *, tls: bool = True) -> Iterator[Client]:
    """A client with the login's own password."""
    one = Client(site, login, None if login is None else site.password(login), tls=tls)
    yield one
    one.close()


@pytest.fixture(scope="module")
def boards() -> list[Board]:
    """Three boards; the last has a broker to itself in all but one test."""
    return [Board(), Board(), Board()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, boards: list[Board]) -> Iterator[Site]:
    """Enrolled boards, and a running broker; the last two tests change it."""
    made = Site(tmp_path_factory.mktemp("site"))
    made.gateway.enrol(*boards)
    made.write()
    made.start()
    yield made
    made.gateway.kill()
    made.stop()


def test_a_board_writes_only_its_own_topics(site: Site, boards: list[Board]) -> None:
    """One stolen login would be enough to fill another board's topic, or to fake what is verified."""
    own, other = (topics.Device(board.id) for board in boards[:2])
    gateway = topics.Gateway(site.gateway.id)
    ledger = topics.Ledger(site.ledger)
    with client(site, boards[0].id.hex()) as board:
        assert [0] == board.connected
        for topic in (
            *(own.up, own.state, f"{own.cmd}/accepted", f"{own.cmd}/rejected"),
            *(own.want, own.update_state),
        ):
            assert NOT_AUTHORISED != board.publish(topic), topic
        for topic in (
            *(other.up, other.state, f"{other.cmd}/accepted", other.verified("temperature")),
            *(own.ack, own.cmd, own.rejected, own.standing, own.verified("temperature")),
            *(gateway.state, gateway.checkpoint, gateway.grant, ledger.submit, ledger.tips),
            *(own.update, own.part, other.want, other.update_state),
            *(gateway.update, gateway.offer, gateway.update_answer),
            *("homeassistant/device/x/config", "anything", "$SYS/broker/uptime"),
        ):
            assert NOT_AUTHORISED == board.publish(topic), topic


def test_a_board_reads_only_what_is_meant_for_it(site: Site, boards: list[Board]) -> None:
    """Whoever opens one board would follow all the others."""
    own, other = (topics.Device(board.id) for board in boards[:2])
    grant = topics.Gateway(site.gateway.id).grant
    with client(site, f"gateway-{site.gateway.id.hex()}", tls=False) as gateway:
        for topic in (
            *(own.ack, other.ack, other.verified("a"), grant, own.cmd),
            *(own.update, own.part, other.update, other.part),
        ):
            assert NOT_AUTHORISED != gateway.publish(topic, topic.encode(), retain=True)
    with client(site, boards[0].id.hex()) as board:
        board.client.subscribe("#", 1)
        eventually(lambda: len(board.messages) >= 5 or None, "what is retained for it")
        assert {own.ack, own.cmd, grant, own.update, own.part} == set(board.messages)


def test_who_brings_updates(site: Site, boards: list[Board]) -> None:
    """An engineer could not publish one, or could put it before boards past the gateway."""
    gateway, device = topics.Gateway(site.gateway.id), topics.Device(boards[0].id)
    with client(site, "engineer", tls=False) as engineer:
        for topic in (gateway.update, gateway.offer):
            assert NOT_AUTHORISED != engineer.publish(topic)
        for topic in (device.update, device.part, device.update_state, gateway.update_answer):
            assert NOT_AUTHORISED == engineer.publish(topic)
        with client(site, boards[0].id.hex()) as board:
            board.publish(device.update_state, b"{}", retain=True)
        for topic in (gateway.update_answer, topics.update_states(), topics.offers()):
            engineer.client.subscribe(topic, 1)
        eventually(lambda: device.update_state in engineer.messages or None, "what boards say")


def test_strangers_stay_out(site: Site, boards: list[Board]) -> None:
    """Anybody on the network could read every board's position in its chain."""
    for login, password in ((None, None), (boards[0].id.hex(), "wrong"), ("nobody", "x")):
        for tls in (True, False):
            stranger = Client(site, login, password, tls=tls)
            assert 0 != stranger.connected[0]
            stranger.close()
    blind = paho.Client(CallbackAPIVersion.VERSION2)
    blind.tls_set()  # the authorities of this machine: ours is not among them
    with pytest.raises(ssl.SSLError):
        blind.connect(LOOPBACK, site.tls)


def test_what_is_too_large_is_refused_at_the_door(site: Site, boards: list[Board]) -> None:
    """One board would fill the broker's memory with messages that the gateway refuses anyway."""
    with client(site, boards[0].id.hex()) as board:
        board.client.publish(topics.Device(boards[0].id).up, bytes(limits.RECEIPT_BYTES + 4_096), 1)
        assert board.lost.wait(10)


def test_the_gateway_sees_its_own_past(site: Site) -> None:
    """The fork guard would be blind: a restored copy would sign a second history."""
    gateway = topics.Gateway(site.gateway.id)
    anchor = topics.Ledger(site.ledger).anchor(site.gateway.id)
    with client(site, f"ledger-{site.ledger.hex()}", tls=False) as ledger:
        assert NOT_AUTHORISED != ledger.publish(anchor, b"anchor", retain=True)
        assert NOT_AUTHORISED == ledger.publish(gateway.checkpoint, b"fork", retain=True)
    with client(site, f"gateway-{site.gateway.id.hex()}", tls=False) as own:
        assert NOT_AUTHORISED == own.publish(anchor, b"fake")
        assert NOT_AUTHORISED != own.publish(gateway.checkpoint, b"note", retain=True)
        for topic in (gateway.checkpoint, anchor):
            own.client.subscribe(topic, 1)
        eventually(lambda: len(own.messages) == 2 or None, "both sources of the fork guard")
        assert {gateway.checkpoint: b"note", anchor: b"anchor"} == own.messages


def test_the_whole_way_over_tls(site: Site, boards: list[Board]) -> None:
    """The written files and the gateway's settings would not fit together."""
    login = f"gateway-{site.gateway.id.hex()}"
    config = site.folder / "gateway.toml"
    config.write_text(
        f'user = "{login}"\npassword-file = "broker/logins/{login}"\nca-file = "broker/ca.pem"\n'
    )
    site.gateway.port = site.tls
    site.gateway.extra = ("--config", str(config))
    site.gateway.start()
    board = boards[2]
    with client(site, board.id.hex()) as one:
        one.client.subscribe(topics.Device(board.id).ack, 1)
        for record in board.fill(20):
            one.publish(topics.Device(board.id).up, record.raw)
        from tallystick import message

        def acked() -> bool | None:
            raw = one.messages.get(topics.Device(board.id).ack)
            return (raw is not None and message.parse_acknowledgement(raw).upto == 19) or None

        eventually(acked, "the acknowledgement of all 20")
    with client(site, "dashboard", tls=False) as dashboard:
        dashboard.client.subscribe("#", 1)
        name = topics.Device(board.id).verified("temperature")
        eventually(lambda: dashboard.messages.get(name), "the verified reading")
        assert topics.Device(board.id).up not in dashboard.messages
        assert NOT_AUTHORISED == dashboard.publish(name, b"fake")
    log = site.gateway.errors.read_text()
    assert site.password(login) not in log
    assert "refuses" not in log


def test_a_broker_of_another_authority(site: Site, tmp_path: Path) -> None:
    """Who stands between gateway and broker, with a certificate of the machine's own trust store or of his own,
    would read the password and every record."""
    stranger = tmp_path / "other.pem"
    stranger.write_bytes(authority.make_authority("another", dt.datetime.now(dt.UTC)).certificate)
    gateway = Gateway(tmp_path / "gw", site.tls, site.gateway.ledger, "--ca-file", str(stranger))
    try:
        gateway.start(connected=False)
        time.sleep(2)
        assert "not connected" in gateway.json("/healthz")["reason"]
        assert b'"connected"' not in gateway.errors.read_bytes()
    finally:
        gateway.kill()


def test_running_it_again(site: Site, boards: list[Board]) -> None:
    """Every board would need a new password after each enrolment."""
    first = (site.out / "passwords").read_text()
    fresh = Board()
    site.gateway.enrol(boards[0], fresh)
    said = site.write("--renew", "dashboard").stderr.decode()
    assert "2 devices, 2 new passwords, 2 logins gone" in said
    held = broker_files.passwords((site.out / "passwords").read_text())
    before = broker_files.passwords(first)
    kept = boards[0].id.hex()
    assert before[kept] == held[kept]
    assert before["dashboard"] != held["dashboard"]
    assert boards[1].id.hex() not in held
    assert not (site.out / "logins" / boards[1].id.hex()).exists()
    assert fresh.id.hex() in held
    for path in (site.out / "passwords", site.out / "logins" / kept, site.out / "ca.key"):
        assert 0o600 == path.stat().st_mode & 0o777


def test_logins_of_the_enrolment(site: Site, boards: list[Board]) -> None:
    """The password that `tally provision` gave to a board would not open the broker."""
    held = site.gateway.folder / "enrolment.json"
    said = json.loads(held.read_text())
    board = said["devices"][0]
    board["login"] = broker_files.hashed("given by the engineer")
    held.write_text(json.dumps(said))
    site.write()
    assert (
        broker_files.passwords((site.out / "passwords").read_text())[board["id"]] == board["login"]
    )
    assert not (site.out / "logins" / board["id"]).exists()
    assert site.process is not None
    site.process.send_signal(signal.SIGHUP)

    def admitted() -> bool | None:
        one = Client(site, board["id"], "given by the engineer", tls=True)
        good = one.connected[0] == 0
        one.close()
        return good or None

    eventually(admitted, "the login after SIGHUP")
    done = command(
        *("broker-config", "--dir", str(site.gateway.folder), "--out", str(site.out)),
        *("--host", LOOPBACK, "--renew", board["id"]),
        check=False,
    )
    assert 2 == done.returncode
    assert b"hint: tally provision gives it another" in done.stderr


def test_wrong_use(tmp_path: Path) -> None:
    """A broker without a way in, or a traceback."""
    site = Site(tmp_path)
    site.gateway.enrol()
    for extra, words in (
        (("--renew", "nobody"), "'nobody' is no login here"),
        (("--prefix", "tallystick/v1"), "is no prefix of topics"),
        (("--certificate", str(site.gateway.folder / "enrolment.json")), "give --certificate with"),
        (("--owner", "no-such-user"), "there is no user 'no-such-user'"),
        (("--local", "nowhere"), "is not HOST:PORT"),
    ):
        done = command(
            *("broker-config", "--dir", str(site.gateway.folder), "--out", str(site.out)),
            *("--host", LOOPBACK, *extra),
            check=False,
        )
        assert 2 == done.returncode, done.stderr
        assert words in done.stderr.decode()


def test_hashes_are_salted() -> None:
    """Two boards with one password would show it; and a file of another program is not lost on us."""
    assert broker_files.hashed("x") != broker_files.hashed("x")
    assert broker_files.hashed("x", bytes(12)) == broker_files.hashed("x", bytes(12))
    line = f"board:{broker_files.hashed('x')}"
    assert ["board"] == list(broker_files.passwords(f"# a comment\n{line}\nplain:text\n"))


def test_the_queue_grows_with_the_fleet() -> None:
    """A gateway that is away for a night would find most of it dropped."""
    text = broker_files.configuration(broker_files.Broker(Path("/etc/x"), 200))
    assert "max_queued_messages 2000000\n" in text
    assert "max_inflight_messages 1000\n" in text
