"""The start of a session, attacked by whoever holds the broker: real gateway, real mosquittos, two virtual boards.

The board speaks to a broker of the attacker, who passes everything on, keeps all of it, and then replays, reflects,
splices and changes what he has. Every attempt ends in a code of its own, and costs no record.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import cbor, cose, message, record, topics
from tallystick.body import Beacon, Kind
from tallystick.cose import Typ
from tallystick.keys import PrivateKey
from tools.parts import LOOPBACK, Broker
from tools.site import BOARD, Site, SiteError, command, wait_for

Said = tuple[str, bytes]


def pass_on(topic: str, payload: bytes) -> list[Said]:
    return [(topic, payload)]


class Attacker:
    """Two clients: one at the board's broker, one at the gateway's. `to_board` and `to_gateway` say what becomes of a
    message; `heard` keeps all of them."""

    def __init__(self, near: int, far: int) -> None:
        self.heard: list[Said] = []
        self.to_board: Callable[[str, bytes], list[Said]] = pass_on
        self.to_gateway: Callable[[str, bytes], list[Said]] = pass_on
        self.board = self._client(near, ["tallystick/v1/+/up"], self._up)
        self.gateway = self._client(
            far, ["tallystick/v1/+/ack", "tallystick/v1/gateway/+/grant"], self._down
        )

    def _client(self, port: int, follow: list[str], hear: Any) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.on_message = hear
        client.on_connect = lambda c, *_: c.subscribe([(topic, 1) for topic in follow])
        client.connect(LOOPBACK, port)
        client.loop_start()
        return client

    def _up(self, _c: Any, _u: Any, got: paho.MQTTMessage) -> None:
        self.heard.append((got.topic, bytes(got.payload)))
        for topic, payload in self.to_gateway(got.topic, bytes(got.payload)):
            self.gateway.publish(topic, payload, 1)

    def _down(self, _c: Any, _u: Any, got: paho.MQTTMessage) -> None:
        self.heard.append((got.topic, bytes(got.payload)))
        for topic, payload in self.to_board(got.topic, bytes(got.payload)):
            self.board.publish(topic, payload, 1, True)

    def close(self) -> None:
        for client in (self.board, self.gateway):
            client.disconnect()
            client.loop_stop()


class Field:
    """The site, its two boards, and the attacker on the way of the first."""

    def __init__(self, site: Site, near: Broker) -> None:
        self.site, self.near = site, near
        self.ids = [
            self._enrol("shed", f"{LOOPBACK}:{near.port}"),
            self._enrol("barn", site.broker_address),
        ]
        self.shed, self.barn = (topics.Device(bytes.fromhex(one)) for one in self.ids)
        self.attacker = Attacker(near.port, site.broker.port)
        self.start()
        site.start("barn", [sys.executable, BOARD, site.folder / "barn"])

    def _enrol(self, name: str, broker: str) -> str:
        site = self.site
        folder = site.folder / name
        subprocess.run([sys.executable, BOARD, folder, "--prepare"], check=True)
        argv: list[str | Path] = [
            "--virtual",
            folder,
            "--name",
            name,
            "--gateway",
            site.gateway_line,
        ]
        out = command(
            *("tally", "enrol", "--enrolment", site.enrolment, "--broker", broker),
            *("--interval", "400", *argv),
            home=site.home,
        )
        return out.split()[0]

    def start(self) -> None:
        """A new session of the board that is attacked."""
        old = self.site.programs.get("shed")
        if old is not None:
            old.kill()
        self.site.start("shed", [sys.executable, BOARD, self.site.folder / "shed"])

    # --- what the two sides say

    def board_said(self) -> str:
        return (self.site.folder / "shed.log").read_text(errors="replace")

    def board_refuses(self, code: str, attempt: Callable[[], object]) -> None:
        line = f"# refused: {code}"
        before = self.board_said().count(line)
        attempt()
        wait_for(f"{code} on the board", lambda: self.board_said().count(line) > before, 20)

    def gateway_refuses(self, code: str, topic: str, payload: bytes) -> None:
        before = self._rejected(code)
        self.attacker.gateway.publish(topic, payload, 1)
        try:
            wait_for(f"{code} at the gateway", lambda: self._rejected(code) > before, 20)
        except SiteError as error:
            raise SiteError(f"{error}: {self.site.ask('/v1/quarantine')}") from error

    def _rejected(self, code: str) -> int:
        told = self.site.ask("/v1/quarantine") or {"messages": []}
        return sum(one["code"] == code for one in told["messages"])

    def to_board(self, topic: str, payload: bytes) -> Callable[[], object]:
        return lambda: self.attacker.board.publish(topic, payload, 1)

    # --- what was recorded

    def recorded(self, topic: str) -> list[bytes]:
        return [payload for one, payload in self.attacker.heard if one == topic]

    def beacons(self) -> list[bytes]:
        return [raw for raw in self.recorded(self.shed.up) if record.parse(raw).kind is Kind.BEACON]

    def newest_ack(self, topic: str) -> bytes:
        wait_for("an acknowledgement", lambda: bool(self.recorded(topic)), 20)
        return self.recorded(topic)[-1]

    def fresh_at(self) -> int | None:
        return self.site.device(self.ids[0]).get("session_fresh_at")

    def upto(self) -> int:
        found = self.site.device(self.ids[0]).get("upto")
        return -1 if found is None else int(found)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("session")
    with Site(folder / "site") as site, Broker(folder / "near") as near:
        site.make_keys()
        site.start_services()
        made = Field(site, near)
        try:
            # one honest session, recorded: the beacon echoes the nonce, the acknowledgement covers the beacon
            wait_for("a fresh session", lambda: made.fresh_at() is not None, 40)
            wait_for("more of it", lambda: made.upto() > 12, 40)
            yield made
        finally:
            made.attacker.close()


pytestmark = pytest.mark.usefixtures("micropython64")


def signed(key: PrivateKey, typ: Typ, like: bytes) -> bytes:
    """The payload of a recorded message, signed by somebody else."""
    return cose.sign(key, typ, cose.parse(like, typ).payload)


def spliced(one: bytes, other: bytes) -> bytes:
    """A message with the signature of another."""
    return one[:-64] + other[-64:]


def test_the_board_is_told_by_nobody_else(field: Field) -> None:
    """Broken: whoever is on the way to the gateway makes a board delete what nobody has, or believe another."""
    stranger = PrivateKey.generate()
    acks = field.recorded(field.shed.ack)
    grant = next(raw for topic, raw in field.attacker.heard if topic.endswith("/grant"))
    where, shown = field.shed.ack, topics.Gateway(stranger.public.kid).grant
    first, last = acks[0], acks[-1]
    assert first != last
    field.attacker.to_board = lambda *_: []  # from now on the board hears the attacker alone
    attempts = [
        # man in the middle: his own key, his own grant, a changed nonce
        ("message.signer", where, signed(stranger, Typ.ACKNOWLEDGEMENT, last)),
        ("message.signer", shown, message.sign_grant(stranger, stranger.public, 99)),
        ("message.signature", where, changed_nonce(last)),
        # splices: the words of one, the signature of another; another board's acknowledgement
        ("message.signature", where, spliced(last, first)),
        ("message.device", where, field.newest_ack(field.barn.ack)),
        # reflections: the board's own words, and the gateway's for another purpose
        ("message.signer", where, field.beacons()[-1]),
        ("message.signer", where, grant),
        ("message.signer", shown, last),
        # replays: an earlier word of this session
        ("message.old", where, first),
    ]
    for code, topic, payload in attempts:
        field.board_refuses(code, field.to_board(topic, payload))
    field.attacker.to_board = pass_on
    upto = field.upto()
    wait_for("records go on", lambda: field.upto() > upto, 30)


def test_the_gateway_is_told_by_nobody_else(field: Field) -> None:
    """Broken: a board that is gone, or was never there, counts as present."""
    up, barn = field.shed.up, field.barn.up
    beacon, earlier = field.beacons()[-1], field.beacons()[0]
    ack = field.newest_ack(field.shed.ack)
    parsed = record.parse(beacon)
    stranger = PrivateKey.generate()
    # man in the middle: another nonce in the board's beacon, or another key under it
    body = parsed.body
    assert isinstance(body, Beacon)
    assert body.nonce is not None
    field.gateway_refuses("signature.wrong", up, beacon.replace(body.nonce, bytes(16)))
    field.gateway_refuses("chain.unknown-key", up, signed(stranger, Typ.RECORD, beacon))
    # splices
    other = field.recorded(up)[-1]
    field.gateway_refuses("signature.wrong", up, spliced(beacon, other))
    field.gateway_refuses("topic.device", barn, beacon)
    # reflections: the gateway's own words come back as a record
    field.gateway_refuses("cose.typ", up, ack)
    # a beacon of before, played back: a duplicate, and no sign of life
    field.site.programs["shed"].kill()
    upto = field.upto()
    wait_for("the last records", lambda: field.upto() >= record.parse(other).seq, 20)
    before, log = field.fresh_at(), field.site.device(field.ids[0])["last_seen"]
    time.sleep(1.1)  # the moment is given in whole seconds
    for raw in (earlier, beacon):
        field.attacker.gateway.publish(up, raw, 1)
    wait_for("the duplicates", lambda: field.site.device(field.ids[0])["last_seen"] > log, 20)
    assert before == field.fresh_at()
    assert upto <= field.upto()
    assert [] == field.site.device(field.ids[0])["evidence"]


def test_an_acknowledgement_of_another_day(field: Field) -> None:
    """Broken: a board that was shown an old acknowledgement, and a gateway that it cannot hear, call that a session."""
    old = field.recorded(field.shed.ack)[0]

    def only_the_old_one(topic: str, payload: bytes) -> list[Said]:
        return [(topic, old if topic == field.shed.ack else payload)]

    field.attacker.to_board = only_the_old_one
    field.attacker.board.publish(field.shed.ack, old, 1, True).wait_for_publish(10)
    gateway_log = field.site.folder / "gateway.log"
    stale = gateway_log.read_text().count("session.stale")
    field.start()
    wait_for(
        "the gateway finds it stale",
        lambda: gateway_log.read_text().count("session.stale") > stale,
        40,
    )
    assert field.fresh_at() is None
    # nothing was lost by it: the board keeps what the old word does not cover, and the real one frees it
    field.attacker.to_board = pass_on
    heard = len(field.recorded(field.shed.ack))
    wait_for("the real word", lambda: len(field.recorded(field.shed.ack)) > heard + 1, 20)
    field.start()
    wait_for("a fresh session", lambda: field.fresh_at() is not None, 40)


def test_a_gateway_of_before(field: Field) -> None:
    """Broken: a gateway that was replaced, and what was recorded of it, takes its boards back."""
    grants = [payload for topic, payload in field.attacker.heard if topic.endswith("/grant")]
    old_word = field.recorded(field.shed.ack)[-1]
    folder = field.site.folder / "second"
    command("tally-gateway", "init", "--dir", folder)
    line = command("tally-gateway", "identity", "--dir", folder).strip()
    copy = field.site.folder / "second.json"
    copy.write_bytes(field.site.enrolment.read_bytes())
    command("tally", "grant", "--gateway", line, "--enrolment", copy, home=field.site.home)
    newer = message.parse_grant(base64.b64decode(json.loads(copy.read_text())["grant"]))
    field.attacker.board.publish(topics.Gateway(newer.key.kid).grant, newer.signed.raw, 1, True)
    wait_for(
        "the new grant",
        lambda: f"# granted gateway {newer.key.kid.hex()}" in field.board_said(),
        20,
    )
    # the first gateway goes on acknowledging, and whoever recorded it can
    field.board_refuses("message.signer", field.to_board(field.shed.ack, old_word))
    first = message.parse_grant(grants[-1])
    field.board_refuses(
        f"grant.serial: {first.serial} is not above {newer.serial}",
        field.to_board(topics.Gateway(first.key.kid).grant, first.signed.raw),
    )


def changed_nonce(ack: bytes) -> bytes:
    nonce = message.parse_acknowledgement(ack).nonce
    changed = ack.replace(nonce, bytes(16))
    assert changed != ack
    assert cbor.decode(cose.parse(changed, Typ.ACKNOWLEDGEMENT).payload)
    return changed
