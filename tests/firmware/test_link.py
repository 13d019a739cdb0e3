"""The way to the broker: how long a record may be, how often a broker that is away is tried, and other sensors."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.firmware.bench import (
    GatewayDouble,
    Signer,
    VirtualBoard,
    check_chain,
    genesis_prev,
    on_board,
)
from tests.firmware.test_end_to_end import world
from tests.parts import Broker

WIDE = """
class Sensor:
    channels = (("a", "m", 0), ("b", "m", 0), ("c", "m", 0))

    def __init__(self, step=1):
        if step < 1:
            raise ValueError("step is at least 1")
        self._at = 0
        self._step = step

    def read(self):
        self._at += 1
        sign = -1 if self._at % 2 else 1
        return self._at * self._step, sign * 70000 * self._at, None if self._at % 5 else 1 << 40
"""


@pytest.mark.parametrize("limit", [256, 300, 2048])
def test_records_fit_the_way(tmp_path: Path, broker: Broker, limit: int) -> None:
    """A modem that takes 256 bytes cuts off what is longer: no record that it carries may be."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board") as board:
        (tmp_path / "board" / "flash").mkdir(parents=True)
        (tmp_path / "board" / "flash" / "wide.py").write_text(WIDE)
        public = board.provision(
            owner,
            signer,
            broker.port,
            interval_ms=100,
            batch=60,
            max_message=limit,
            sensor="wide",
            sensor_args={"step": 3},
            beacon_every=4,
        )
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            deadline = time.monotonic() + 40
            readings: list[int] = []
            while sum(readings) < (60 if limit > 1000 else 40):
                assert time.monotonic() < deadline, board.said
                time.sleep(0.1)
                readings = [len(r.payload[6]) for r in gateway.chain() if r.kind == 1]
            records = gateway.chain()
            check_chain(records, genesis_prev(public))
            assert max(len(record.data) for record in records) <= limit
            if limit == 2048:
                assert 60 == readings[0]
            else:
                assert 4 <= readings[0] < 40
                fullest = max(len(r.data) for r in records if r.kind == 1)
                assert fullest > limit - 60  # and what fits is used


def test_sensor_arguments(tmp_path: Path, broker: Broker) -> None:
    """A wrong argument is told on the console; the board stays up, so that it can be put right."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board") as board:
        (tmp_path / "board" / "flash").mkdir(parents=True)
        (tmp_path / "board" / "flash" / "wide.py").write_text(WIDE)
        (tmp_path / "board" / "flash" / "broken.py").write_text("class Sensor:\n  x = 1 +\n")
        board.provision(owner, signer, broker.port, sensor="wide", sensor_args={"step": 0})
        for settings, words in (
            ({}, "step is at least 1"),
            ({"sensor_args": {"pace": 1}}, "unexpected keyword argument"),
            ({"sensor": "broken"}, "SyntaxError"),
            ({"sensor": "nowhere"}, "no module named 'nowhere'"),
        ):
            board.ok("set config " + json.dumps(settings))
            board.ok("run")
            deadline = time.monotonic() + 20
            while words not in ((status := board.status())["sensor"] or ""):
                assert time.monotonic() < deadline, status
                time.sleep(0.05)
            assert "no sensor" == status["state"]
            assert "no sensor" == status["light"]
        assert "ERROR refused sensor_args takes an object of up to 512 bytes" == board.command(
            'set config {"sensor_args": 5}'
        )
        board.ok('set config {"sensor": "wide", "sensor_args": {"step": 2}}')
        board.ok("run")
        board.wait("state", "ready")


def test_pauses_grow(tmp_path: Path, micropython64: list[str]) -> None:
    """A thousand boards that all knock each second keep a broker from coming back."""
    lives = [json.loads(on_board(micropython64, "backoff.py", tmp_path / str(i))) for i in range(3)]
    for pauses in lives:
        assert 12 == len(pauses)
        for i, pause in enumerate(pauses):
            least = min(500 << i, 60000)
            assert least <= pause <= least * 3 // 2 + 200, pauses
    assert lives[0] != lives[1] != lives[2]


def test_wifi_is_told_and_switched(tmp_path: Path, micropython64: list[str]) -> None:
    """A driver that hangs is cured by switching the radio; a wrong password is said as such."""
    facts = json.loads(on_board(micropython64, "uplinks.py", tmp_path))
    assert ["no network"] * 16 == facts["wifi"]
    assert 2 == facts["switched"]
    assert "no network: it refuses the password" == facts["refused"]
    assert facts["back"] is None
    assert ["no network on the cable", None] == facts["lan"]
    assert {"mdc": "Pin", "phy_type": 7, "phy_addr": 1} == facts["lan_args"]
    assert "no Ethernet" in facts["no lan"]
    assert facts["none"] is None


def test_wrong_login(tmp_path: Path, start_broker: object) -> None:
    """A login that the broker refuses looks like no network to whoever cannot see the difference."""
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    broker = start_broker(config=f"allow_anonymous false\npassword_file {passwords}\n")  # type: ignore[operator]
    with VirtualBoard(tmp_path / "board") as board:
        world(board)
        board.provision(Signer(), Signer(), broker.port)
        board.ok("set login board secret")
        board.ok("run")
        board.wait("link", "the broker refuses this board")
        assert "login" == board.status()["light"]


def test_records_over_the_cable(tmp_path: Path, broker: Broker) -> None:
    """A board on Ethernet: a cable that is out is said as such, and what was measured meanwhile arrives afterwards."""
    owner, signer = Signer(), Signer()
    port = {"mdc": 23, "mdio": 18, "power": 12, "phy_type": "PHY_LAN8720", "phy_addr": 0}
    with VirtualBoard(tmp_path / "board") as board:
        world(board, cable="out")
        public = board.provision(
            owner,
            signer,
            broker.port,
            interval_ms=100,
            net="lan",
            lan_args={**port, "phy_type": "PHY_NONE"},
        )
        board.ok("run")
        board.reach("next", 3)
        assert board.status()["link"].startswith("no network, error no Ethernet")
        board.ok("set config " + json.dumps({"lan_args": port}))
        status = board.wait("link", "no network on the cable")
        assert "no network" == status["light"]
        world(board)
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.wait("connected", True)
            check_chain(gateway.wait(status["next"]), genesis_prev(public))
