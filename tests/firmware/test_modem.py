"""Boards whose way to the gateway is a modem: MQTT inside it, over a real serial line, to a real broker.

If these fail, a board in a field without Wi-Fi is deaf, or its modem hangs once and the board is lost.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware.virtual.modem import call
from tests.firmware import cellular
from tests.firmware.bench import (
    WAIT_S,
    GatewayDouble,
    Signer,
    VirtualBoard,
    check_chain,
    genesis_prev,
    kid,
)
from tests.firmware.test_tls import Authority, StartBroker, tls_broker
from tests.parts import ROOT, Broker

FIRMWARE = ROOT / "firmware"
GNSS = 3  # a source of time
ON_BOARD = ROOT / "tests" / "firmware" / "on_board"


IMEI, IMSI = b"004401083550007", b"001010123456789"  # the simulator's
ICCID = b"8988303000000000007"


class Listener:
    """Hears all that is said at a broker."""

    def __init__(self, port: int) -> None:
        self.heard = b""
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("#")
        self._client.loop_start()

    def _on_message(self, client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        self.heard += message.topic.encode() + b" " + bytes(message.payload) + b"\n"

    def close(self) -> None:
        """Hear no more."""
        self._client.loop_stop()
        self._client.disconnect()


def on_board(program: list[str], script: str, folder: Path, *more: str) -> Any:
    """What a script says on MicroPython, beside a chip of its own."""
    place = folder / "chip" / "flash"
    place.mkdir(parents=True, exist_ok=True)
    argv = [*program, str(ON_BOARD / script), str(FIRMWARE), *more]
    done = subprocess.run(argv, cwd=place, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("model", ["SIM7600", "A7670", "SIM7000"])
def test_records_arrive_through_a_modem(tmp_path: Path, broker: Broker, model: str) -> None:
    """Each dialect, from a modem that is off, with a card that wants its PIN: records that the gateway acknowledges,
    with the position in them, the modem's clock, and modem and card in the fingerprint."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    moods = {"pin": True, "position": [-33.8568, 151.2153, 6.4], "pieces": 2}
    with cellular.Modem(folder, model, broker.port, moods=moods), VirtualBoard(folder) as board:
        settings = cellular.settings(model) | {"sim_pin": "1234", "sensor": "sensors.gnss"}
        everything = Listener(broker.port)
        public = board.provision(owner, signer, broker.port, interval_ms=400, **settings)
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            here = [[-33856800], [151215300], [64]]
            deadline = time.monotonic() + WAIT_S
            # the position, the clock, and the second `open`
            while not all(
                (
                    here in [record.payload[6:] for record in gateway.chain()],
                    [3, 0] in [record.payload[3:5] for record in gateway.chain()],
                    [record.kind for record in gateway.chain()].count(0) > 1,
                )
            ):
                assert time.monotonic() < deadline, [record.payload for record in gateway.chain()]
                time.sleep(0.1)
            board.reach("upto", 4)
            chain = gateway.wait(len(gateway.records))
            check_chain(chain, genesis_prev(public))
            assert max(len(record.data) for record in chain) <= 256
            assert "ready" in gateway.states
            clocks = [record.payload[5:] for record in chain if record.payload[3:5] == [3, 0]]
            assert 4 == clocks[0][2]
            assert abs(clocks[0][1] - time.time()) < 60
            # the modem said who it is after the first `open`, and another one says so
            opens = [record for record in chain if record.kind == 0]
            facts = json.loads(board.ok("fingerprint"))
            parts = [bytes.fromhex(part) for part in facts["parts"]]
            assert {IMEI, IMSI} <= set(parts)
            hashed = hashlib.sha256(bytes.fromhex(facts["salt"]) + b"".join(parts)).digest()[:16]
            assert [hashed, facts["fingerprint"]] == [opens[-1].payload[8], hashed.hex()]
            assert opens[0].payload[8] != opens[-1].payload[8]
        everything.close()
        # personal data, and a secret: nobody but the owner at the console hears them
        said = "\n".join(line for line in board.said if not line.startswith("OK"))
        assert everything.heard
        for word in (IMEI, IMSI, ICCID):
            assert word not in everything.heard
            assert word.decode() not in said
            assert word.hex() not in said
        assert '"1234"' not in said


@pytest.mark.parametrize("model", ["SIM7600", "SIM7000"])
def test_satellites_set_the_clock(tmp_path: Path, broker: Broker, model: str) -> None:
    """Where the network tells no time; their time counts for more than an acknowledgement's, and the chain says so."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    moods = {"position": [59.9, 10.7, 30.0], "no_clock": True}
    with cellular.Modem(folder, model, broker.port, moods=moods), VirtualBoard(folder) as board:
        settings = cellular.settings(model) | {"sensor": "sensors.gnss"}
        public = board.provision(owner, signer, broker.port, interval_ms=400, **settings)
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            deadline = time.monotonic() + WAIT_S
            clocks: list[list[int]] = []
            while GNSS not in [source for *_, source in clocks]:
                assert time.monotonic() < deadline, clocks
                time.sleep(0.1)
                chain = gateway.chain()
                clocks = [record.payload[5:] for record in chain if record.payload[3:5] == [3, 0]]
            before, after, source = clocks[-1]
            assert source == GNSS
            assert abs(after - time.time()) < 60
            assert before < 2**30 or before == after  # never set, or confirmed


def test_a_modem_that_finds_no_way_out(tmp_path: Path, micropython64: list[str]) -> None:
    """Modem, power key, board: each is tried in its turn; and no card is locked by a PIN that was wrong."""
    facts = on_board(micropython64, "cell.py", tmp_path)
    assert facts["said"][1::2] == [
        "no network: the modem starts anew",
        "no network: the modem is switched off and on",
        "no network",
    ]
    assert ([60], [[180, 3000]]) == (facts["restarts"], facts["presses"])
    assert 600 <= facts["reset"] < 620
    assert "no network: the modem does not answer, switching it on" == facts["off"]
    assert facts["hangs"] == [
        "no network: the modem hangs, switching it off and on",
        "no network: waiting for the modem",
        "no network: the modem does not answer, switching it on",
    ]
    assert [500, 3000, 500] == facts["held"]
    assert 600 <= facts["silent"] < 640


def test_a_card_is_never_locked(tmp_path: Path, micropython64: list[str]) -> None:
    """A PIN that was refused is not shown again, and the last try is not spent: a locked card is a visit."""
    facts = on_board(micropython64, "cell.py", tmp_path)
    wrong = "no network: the modem says sim_pin is wrong"
    again = "no network: the modem says sim_pin was refused: set another one"
    last = "no network: the modem says sim_pin is not tried, it may be the last try"
    assert "no network: the modem says it wants a PIN: set sim_pin" == facts["no pin"]
    for name, how in (
        ("counts", ["", ""]),
        ("tells", [", 2 tries are left", ", 1 tries are left"]),
    ):
        heard = facts[name]
        assert [[wrong + text, again, again, again] for text in how] == heard[:2]
        # the right one is not known to be right
        assert all(text.startswith(last) for texts in heard[2:] for text in texts)
        assert (["9999", "8888"], 1) == (facts[name + " shown"], facts[name + " left"])
    heard, shown = facts["opened elsewhere"]
    assert (["no network: searching, signal 17,99"] * 4, ["1234"]) == (heard, shown)
    heard, shown, left = facts["lost"]
    silent = "no network: the modem does not answer +CPIN"
    assert [silent, silent] == heard[:2]
    assert all(text.startswith(last) for text in heard[2:])
    assert (["9999", "9999"], 1) == (shown, left)


def test_a_modem_that_is_not_ready_is_no_crash(tmp_path: Path, micropython64: list[str]) -> None:
    """A modem that has just started answers ERROR to everything."""
    facts = on_board(micropython64, "cell.py", tmp_path)
    assert facts["registration"] == [
        "no network: the modem does not say whether it is registered",
        "no network: the modem does not say whether it is registered",
        "no network: it is refused, signal 17,99",
        "no network: searching, signal 17,99",
    ]


CLOCKS = {  # of 2026-11-26 02:30:00 UTC, and none
    '"26/11/26,02:30:00+00"': 1795660200,
    '"26/11/26,06:30:00+16"': 1795660200,
    '"26/11/25,21:00:00-22"': 1795660200,
    '"26/11/26,08:15:00+23"': 1795660200,
    '"28/02/29,00:00:00+04"': 1835391600,
    '"80/01/06,00:00:12+00"': None,
    '"70/01/01,00:00:12+00"': None,
    '"26/13/26,02:30:00+00"': None,
    '"26/00/26,02:30:00+00"': None,
    '"26/11/32,02:30:00+00"': None,
    '"26/11/26,02:30:00+99"': None,
    '"26/11/26,02:30:00"': None,
    '"26/11/26"': None,
    '"26/11/26,02:30+00"': None,
    "": None,
    ",": None,
    "0": None,
}


def test_the_clock_of_a_network(tmp_path: Path, micropython64: list[str]) -> None:
    """Local time and quarters of an hour; a modem that was not told yet names a year that is none."""
    facts = on_board(micropython64, "cell.py", tmp_path, *CLOCKS)
    assert list(CLOCKS.values()) == facts["clock"]


def test_a_modem_becomes_an_interface(tmp_path: Path, micropython64: list[str]) -> None:
    """PPP against a double of `network.PPP`: dialled, used, and dialled anew when nothing goes through it."""
    facts = on_board(micropython64, "ppp.py", tmp_path)
    assert "this MicroPython has no PPP" == facts["none"]
    assert "no network: searching" == facts["searching"]
    assert "no network: the modem says NO CARRIER" == facts["refused"]
    dialled = ["lost", "who", "D*99#", "the port", "active 1", "connect"]
    assert (["no network: dialling"] * 2, dialled) == (facts["dialled"], facts["steps"])
    assert facts["up"] is None
    down = ["disconnect", "active 0", "+++"]
    assert [None, None, "no network: dialling"] == facts["dead"]
    assert down + dialled == facts["again"]
    assert [None, ["connected"]] == facts["lived"]
    assert ("no network: dialling", down) == (facts["late"], facts["late steps"])


def test_a_call_over_a_serial_line(tmp_path: Path, micropython64: list[str]) -> None:
    """From commands to frames and back, over a real line with the simulated modem at its end: the driver waited for an
    OK once that no modem says, and the port belongs to the data while there is a link."""
    assert 0x906E == call.fcs(b"123456789") ^ 0xFFFF  # CRC-16/X-25
    with cellular.Modem(tmp_path / "chip", "SIM7600", 1, "--on", moods={"pieces": 3}):
        facts = on_board(micropython64, "ppp_line.py", tmp_path)
    dialled = ["no network: dialling", None]
    assert dialled == facts["first"][-2:]
    assert [None, "no network: dialling"] == facts["dead"]
    assert dialled == facts["again"]
    assert facts["doubt"]
    assert {1, 2} == set(facts["frames"])
    assert 0 == facts["bad"]


NOWHERE = [None, None, None]
POSITIONS = {
    # the southern and western halves of the world, by sign and by letter, in degrees and in minutes
    "+CGNSINF: 1,1,20261126023000.000,-33.856800,-70.660000,519.3,,": [-33856800, -70660000, 5193],
    "+CGNSINF: 1,1,20261126023000.000,0.000000,0.000000,-12.4,,": [0, 0, -124],
    "+CGNSINF: 1,1,20261126023000.000,-0.000001,+179.999999,0,,": [-1, 179999999, 0],
    "+CGNSSINFO: 2,06,03,00,3351.408,S,07039.600,W,261126,023000.0,519.3,0.0,,": (
        [-33856800, -70660000, 5193]
    ),
    "+CGNSSINFO: 2,06,,03,00,33.8568,S,70.66,W,261126,023000.0,519.3,0.0,,": (
        [-33856800, -70660000, 5193]
    ),
    "+CGNSSINFO: 2,06,03,00,0000.000,N,00000.000,E,261126,023000.0,0.0,0.0,,": [0, 0, 0],
    # no fix, and what is no position
    "": NOWHERE,
    "+CGNSINF: 1,0,,,,,,,,,,,,,,,,,,,": NOWHERE,
    "+CGNSINF: 0,,,,,,,,,,,,,,,,,,,,": NOWHERE,
    "+CGNSINF: 1": NOWHERE,
    "+CGNSINF: 1,1,20261126023000.000,90.000001,0.0,0.0,,": NOWHERE,
    "+CGNSINF: 1,1,20261126023000.000,45.0,-180.000001,0.0,,": NOWHERE,
    "+CGNSINF: 1,1,20261126023000.000,4x.0,11.0,0.0,,": NOWHERE,
    "+CGNSINF: 1,1,20261126023000.000,,11.0,0.0,,": NOWHERE,
    "+CGNSSINFO: ,,,,,,,,,,,,,,,": NOWHERE,
    "+CGNSSINFO: 2,06,03,00,3399.000,S,07039.600,W,261126,023000.0,519.3,0.0,,": NOWHERE,
    "+CGNSSINFO: 2,06,03,00,-3351.408,S,07039.600,W,261126,023000.0,519.3,0.0,,": NOWHERE,
    "+CGNSSINFO: 2,06,03,00,9151.408,S,07039.600,W,261126,023000.0,519.3,0.0,,": NOWHERE,
    "+CGNSSINFO: 2,06,03,00,3351.408,S,07039.600,,261126,023000.0,519.3,0.0,,": NOWHERE,
    "+CGNSSINFO: 2,06,03,00,3351.408,S,07039.600,N,261126,023000.0,519.3,0.0,,": NOWHERE,
    "+CGNSSINFO: 2,06,03,00,3351.408,S": NOWHERE,
}


def test_a_position_is_one_or_none(tmp_path: Path, micropython64: list[str]) -> None:
    """A sign that is lost is the other half of the world, and signed."""
    read, through_it, nobody_else = on_board(micropython64, "gnss.py", tmp_path, *POSITIONS)
    assert list(POSITIONS.values()) == read
    # the link wakes the modem that it goes through, and no other one
    assert [0, 0] == through_it
    assert [3, [NOWHERE, NOWHERE, *[[-33856800, -70660000, 5193]] * 2]] == nobody_else


def test_a_record_that_does_not_fit_holds_up_nothing(tmp_path: Path, broker: Broker) -> None:
    """A board gets a SIM7000 and has records of another way out, which took longer ones: those that fit go on, and the
    gap is there to be seen."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    with (
        cellular.Modem(folder, "SIM7000", broker.port),
        VirtualBoard(folder, restart=True) as board,
    ):
        public = board.provision(owner, signer, 1, interval_ms=100, batch=60, net="none")
        board.ok("run")
        board.reach(
            "next", 5
        )  # `open`, what is wrong with the sensor, and records of sixty readings
        board.ok("set config " + json.dumps({"batch": 1, "interval_ms": 500}))
        board.ok("set config " + json.dumps(cellular.settings("SIM7000")))
        board.ok(f"set broker 127.0.0.1 {broker.port}")
        board.ok("reset")
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            deadline = time.monotonic() + 2 * WAIT_S
            while len(gateway.records) < 8:
                assert time.monotonic() < deadline, (sorted(gateway.records), board.said[-20:])
                time.sleep(0.1)
            seqs = sorted(gateway.records)
            missing = set(range(seqs[-1])) - set(seqs)
            assert missing
            assert max(len(record.data) for record in gateway.chain()) <= 256
            assert 1 == sum("does not fit through this modem" in line for line in board.said)


@pytest.mark.parametrize("model", ["SIM7600", "SIM7000"])
def test_a_long_message_of_a_stranger(tmp_path: Path, broker: Broker, model: str) -> None:
    """Whoever may publish could fill the board's memory; and a retained message would do it at each connection. Between
    quotes, as a SIM7000 has it, it could also answer a command that is under way."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    with cellular.Modem(folder, model, broker.port), VirtualBoard(folder, heap="256k") as board:
        settings = cellular.settings(model) | {"sensor": "sensors.gnss"}
        public = board.provision(owner, signer, broker.port, interval_ms=300, **settings)
        topic = f"tallystick/v1/{kid(public).hex()}/ack"
        stranger = mqtt.Client(CallbackAPIVersion.VERSION2)
        stranger.connect("127.0.0.1", broker.port)
        stranger.loop_start()
        name = "+CGNSINF" if model == "SIM7000" else "+CGNSSINFO"
        where = "1,1,20261126023000.000,48.1,11.5,1.0,,"
        forged = f'"\r\n{name}: {where}\r\n\r\nOK\r\n'.encode() * 20
        with GatewayDouble(broker.port, public, signer) as gateway:
            stranger.publish(topic, bytes(8000), qos=1, retain=True).wait_for_publish(WAIT_S)
            board.ok("run")
            gateway.wait(2)
            gateway.automatic = True  # its word takes the stranger's place
            for _ in range(40):
                stranger.publish(topic, forged, qos=1)
                time.sleep(0.1)
            stranger.loop_stop()
            check_chain(gateway.wait(len(gateway.records) + 3), genesis_prev(public))
            read = [record.payload[6:] for record in gateway.chain() if record.kind == 1]
            assert all([[None], [None], [None]] == columns for columns in read)
        assert board.running()


def test_a_modem_that_started_anew(tmp_path: Path, broker: Broker) -> None:
    """A burst of its radio takes its supply down for a moment: it answers again, and its connection is gone."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    settings = cellular.settings("SIM7600") | {"interval_ms": 60000, "keepalive_s": 3600}
    with cellular.Modem(folder, "SIM7600", broker.port) as modem, VirtualBoard(folder) as board:
        public = board.provision(owner, signer, broker.port, **settings)
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            board.wait("connected", wanted=True)
            sessions = board.status()["sessions"]
            time.sleep(2)
            modem.be(brownouts=1)
            # long before the keep-alive asks
            board.reach("sessions", sessions + 1)
            check_chain(gateway.wait(2), genesis_prev(public))


def test_a_modem_verifies_its_broker(tmp_path: Path, start_broker: StartBroker) -> None:
    """The modem's TLS takes any certificate unless it is told not to: a stranger would read everything."""
    ours, stranger = Authority(), Authority()
    broker, port = tls_broker(start_broker, ours.server(tmp_path / "server"))
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    settings = cellular.settings("SIM7600") | {"broker_tls": 1, "broker_host": "localhost"}
    with (
        cellular.Modem(folder, "SIM7600", port, host="localhost"),
        VirtualBoard(folder) as board,
    ):
        board.ok(f"set ca {stranger.der.hex()}")
        public = board.provision(owner, signer, port, **settings)
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            board.wait("link", "no TLS with this broker: the modem's code 32")
            assert {} == gateway.records
            board.ok(f"set ca {ours.der.hex()}")
            check_chain(gateway.wait(3), genesis_prev(public))


CARDS = {"iot-safe": {"key": "iot-safe"}, "signit": {"key": "signit", "card_pin": "1234"}}


@pytest.mark.parametrize(
    ("model", "applet", "moods"),
    [
        ("SIM7600", "iot-safe", {}),
        ("SIM7000", "iot-safe-der", {"bare": True, "pieces": 2}),
        ("A7670", "iot-safe", {"ccho": True, "chatter": ["RING", "+CREG: 5"]}),
        ("SIM7600", "signit", {"garbage": True}),
    ],
)
def test_a_key_in_the_card_signs_the_chain(
    tmp_path: Path, broker: Broker, model: str, applet: str, moods: dict[str, object]
) -> None:
    """Both applets, both ways to them, each dialect: records that P-256 verifies, linked from the first on."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    key = CARDS[applet.removesuffix("-der")]
    cellular.lay_out(folder, **cellular.settings(model), **key)
    card = ("--card", str(tmp_path / "card.json"), "--applet", applet)
    with (
        cellular.Modem(folder, model, broker.port, *card, moods=moods),
        VirtualBoard(folder) as board,
    ):
        public = board.provision(owner, signer, broker.port, interval_ms=500)
        assert (33, -9) == (len(public), board.info()["alg"])
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            check_chain(gateway.wait(6), genesis_prev(public))
            board.reach("upto", 3)


def test_a_card_goes_on_in_another_board(tmp_path: Path, broker: Broker) -> None:
    """The identity is the card's: the spare board adopts the chain, and the first board does not fork it afterwards."""
    owner, signer = Signer(), Signer()
    card = ("--card", str(tmp_path / "card.json"))
    first, spare = tmp_path / "first", tmp_path / "spare"
    for folder in (first, spare):
        cellular.lay_out(folder, key="iot-safe", **cellular.settings("SIM7600"))
    with cellular.Modem(first, "SIM7600", broker.port, *card), VirtualBoard(first) as board:
        public = board.provision(owner, signer, broker.port, interval_ms=300)
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            gateway.wait(5)
            board.reach("upto", 3)
    held = len(gateway.records)
    with GatewayDouble(broker.port, public, signer) as again:
        again.records.update(gateway.records)
        again.automatic = True
        with cellular.Modem(spare, "SIM7600", broker.port, *card), VirtualBoard(spare) as board:
            assert public.hex() == board.info()["key"]
            board.ok(f"set owner {owner.public.hex()}")
            board.ok(f"set grant {owner.grant(signer).hex()}")
            board.ok(f"set broker 127.0.0.1 {broker.port}")
            board.ok('set config {"interval_ms": 300}')
            assert board.status()["halted"] == "the board has a key and no head"
            board.ok("run")
            chain = again.wait(held + 5)
            check_chain(chain, genesis_prev(public))
            board.reach("upto", held + 3)
        adopted = [record for record in chain if record.payload[3:5] == [3, 3]]
        assert len(adopted) == 1
        assert adopted[0].seq >= held - 1
        held = len(again.records)
        # back in the first board, whose own head is an old one by now
        with cellular.Modem(first, "SIM7600", broker.port, *card), VirtualBoard(first) as board:
            chain = again.wait(held + 4)
            check_chain(chain, genesis_prev(public))
            assert any(
                "waiting for the gateway" in line or "goes on" in line for line in board.said
            )


def test_another_place_of_the_key_is_another_identity(
    tmp_path: Path, micropython64: list[str]
) -> None:
    """The records of the one are no journal of the other: a chain of both would be a fork, or be lost."""
    facts = on_board(micropython64, "card.py", tmp_path)
    old, new = f"journal-{b'rotated!'.hex()}", f"journal-{facts['card']}"
    assert [["head_a", "born", "upto", "device"], {"journal": ["old"]}] == facts["before"]
    assert [["sim"], {old: ["old"]}] == facts["card in"]
    assert [["head_a", "sim"], {old: ["old"], "journal": ["new"]}] == facts["again"]
    assert [["device"], {"journal": ["old"], new: ["new"]}] == facts["card out"]
    assert [["sim"], {old: ["old"], "journal": ["new"]}] == facts["card back"]
    assert "a rotation was cut off" in facts["rotation"]
    assert len(facts["said"]) == 3


def test_a_card_that_was_away(tmp_path: Path, micropython64: list[str]) -> None:
    """It may have gone on in another board, also while this one ran on, slept or was reset: a second record with one
    number would brand the device for good. And what a card signs with another key is no record."""
    facts = on_board(micropython64, "card_away.py", tmp_path)
    away = "the SIM card does not sign: it may have been in another board"
    waits = "the SIM card may have been in another board: waiting for the gateway's word"
    assert [0, 1] == facts["first"]
    assert [2, False] == facts["for a moment"]
    assert "SIM card does not sign: the modem gives no way to the SIM card" in facts["out"]
    assert [away, waits, True, True] == facts["back"]
    assert [3, False] == facts["goes on"]
    assert [[4, False], [5, False], [6, False]] == facts["stayed"]
    assert 0 == facts["opened again"]
    assert [[waits, True], [7, False], [waits, True], [8, False], [waits, True], [9, False]] == (
        facts["out meanwhile"]
    )
    assert [True, False, True, False] == facts["basic"]
    assert ["the SIM card does not sign: a wrong signature", 0, "a wrong signature"] == facts[
        "wrong"
    ]
    assert 1 == facts["restarts"]
    assert [0, 1] == facts["right again"]
    assert ["there is another SIM card", 2] == facts["another"]


def test_a_card_that_is_pulled_and_put_back(tmp_path: Path, broker: Broker) -> None:
    """A loose holder: the board says what is missing, measures on, and signs again when the card is back."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    cellular.lay_out(folder, **cellular.settings("SIM7600"), key="iot-safe")
    card = ("--card", str(tmp_path / "card.json"))
    with (
        cellular.Modem(folder, "SIM7600", broker.port, *card) as modem,
        VirtualBoard(folder) as board,
    ):
        public = board.provision(owner, signer, broker.port, interval_ms=300, batch=10)
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            gateway.wait(3)
            modem.be(no_sim=True)
            board.wait("state", "no key")
            held = len(gateway.records)
            modem.be(no_sim=None)
            board.wait("state", "ready")
            check_chain(gateway.wait(held + 3), genesis_prev(public))
            # one `open`: nothing was begun anew
            assert 1 <= [record.kind for record in gateway.chain()].count(0) <= 2


def test_wrong_settings_are_set_right(tmp_path: Path) -> None:
    """A board that is told of a card that it cannot ask would have to be erased, and its records with it."""
    folder = tmp_path / "board"
    cellular.lay_out(folder, key="iot-safe", net="ppp")
    with VirtualBoard(folder, restart=True) as board:
        assert "set net modem" in board.info()["fault"]
        assert board.command("status").startswith("ERROR fault")
        assert board.command("set interval 1000").startswith("ERROR fault")
        assert board.command('set config {"key": "nowhere"}').startswith("ERROR refused")
        board.ok('set config {"key": "flash", "net": "wifi"}')
        board.ok("reset")
        deadline = time.monotonic() + WAIT_S
        while "key" not in board.info():
            assert time.monotonic() < deadline
            time.sleep(0.2)
