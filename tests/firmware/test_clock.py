"""Where a board's time comes from: a time server, good and bad, and what the chain says of it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from pathlib import Path
from typing import Self

import pytest

from tests.firmware.bench import GatewayDouble, Signed, Signer, VirtualBoard
from tests.parts import Broker

TO_1970 = 2208988800
CLOCK, NTP = 0, 2


class TimeServer:
    """An NTP server on loopback that answers as it is told: `good`, or one of the cases below."""

    def __init__(self, answer: str = "good", shift_s: float = 0) -> None:
        self.answer = answer
        self.shift_s = shift_s
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port = int(self._socket.getsockname()[1])
        self._end = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._end:
            try:
                question, who = self._socket.recvfrom(100)
            except TimeoutError:
                continue
            self.asked += 1
            for packet in self._answers(question):
                self._socket.sendto(packet, who)

    def _answers(self, question: bytes) -> list[bytes]:
        now = time.time() + self.shift_s
        years = {"of 1999": -27, "of 2080": 54}.get(self.answer, 0)
        seconds = int(now) + years * 31556952 + TO_1970
        first, stratum, cookie = 0x24, 2, question[40:48]
        if self.answer == "kiss-o'-death":
            stratum = 0
        elif self.answer == "not synchronised":
            first |= 0xC0
        elif self.answer == "of somebody else's question":
            cookie = bytes(8)
        elif self.answer == "garbage":
            return [b"", b"x" * 47, bytes(48), b"\xff" * 68]
        elif self.answer == "nothing":
            return []
        elif self.answer == "our question":
            return [question]
        packet = struct.pack(">BBbb4x4x4s", first, stratum, 6, -20, b"RATE") + bytes(8) + cookie
        return [packet + bytes(8) + struct.pack(">II", seconds & 0xFFFFFFFF, 0)]


def clock_events(records: list[Signed]) -> list[list[int]]:
    return [r.payload[5:] for r in records if r.kind == 3 and r.payload[4] == CLOCK]


def test_time_server_sets_the_clock(tmp_path: Path, broker: Broker) -> None:
    """A reading without a time is worth little; one whose time came from nowhere, nothing."""
    owner, signer = Signer(), Signer()
    with TimeServer() as server, VirtualBoard(tmp_path / "board") as board:
        public = board.provision(
            owner, signer, broker.port, ntp_host="127.0.0.1", ntp_port=server.port
        )
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            deadline = time.monotonic() + 20
            while not clock_events(gateway.chain()):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            before, after, source = clock_events(gateway.chain())[0]
            assert before < 2**30
            assert abs(time.time() - after) < 10
            assert NTP == source
            # a reset keeps clock and source, and the `open` says which it is
            gateway.automatic = True
            count = len(gateway.records)
            board.ok("reset")
            assert 64 == board.ended()
            board.restart()
            records = gateway.wait(count + 4)
            opened = [record for record in records if record.kind == 0][-1]
            assert NTP == opened.payload[7]
            assert abs(time.time() - opened.payload[2]) < 30
            assert 1 == len(clock_events(gateway.chain()))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("kiss-o'-death", "the server says b'RATE'"),
        ("not synchronised", "the server has no time itself"),
        ("of 2080", "a time that cannot be"),
        ("of 1999", "a time that cannot be"),
        ("garbage", "no answer"),
        ("of somebody else's question", "no answer"),
        ("our question", "no answer"),
        ("nothing", "no answer"),
    ],
)
def test_bad_answers(tmp_path: Path, broker: Broker, answer: str, said: str) -> None:
    """NTP is not signed: what is no answer to our question, or cannot be, must leave the clock alone."""
    owner, signer = Signer(), Signer()
    with TimeServer(answer) as server, VirtualBoard(tmp_path / "board") as board:
        board.provision(owner, signer, broker.port, ntp_host="127.0.0.1", ntp_port=server.port)
        board.ok("run")
        deadline = time.monotonic() + 20
        while f"# no time: {said}" not in board.said:
            assert time.monotonic() < deadline, board.said
            time.sleep(0.05)
        status = board.status()
        assert (None, 0, "ready") == (status["time"], status["clock"], status["state"])
        assert 1 == server.asked  # it pauses before it asks again


@pytest.mark.parametrize("off_s", [-3600, -1, 1, 3600])
def test_drift(tmp_path: Path, broker: Broker, off_s: int) -> None:
    """A clock that went wrong is set right, in either direction, and the chain says so and goes on."""
    owner, signer = Signer(), Signer()
    with TimeServer() as server, VirtualBoard(tmp_path / "board") as board:
        public = board.provision(
            owner, signer, broker.port, ntp_host="127.0.0.1", ntp_port=server.port
        )
        board.ok(f"set time {int(time.time()) + off_s}")
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            deadline = time.monotonic() + 20
            while NTP != board.status()["clock"]:
                assert time.monotonic() < deadline, board.said
                time.sleep(0.1)
            records = gateway.wait(len(gateway.records) + 5)
            (event,) = clock_events(records)
            assert NTP == event[2]
            moved = event[1] - event[0]
            assert (0 if abs(off_s) == 1 else -off_s) == pytest.approx(moved, abs=2)
            assert "ready" == board.status()["state"]
            # readings that were taken before the clock was right may still be on their way
            while abs(time.time() - [r.payload[2] for r in records if r.kind == 1][-1]) >= 10:
                assert time.monotonic() < deadline + 20, "no reading has the right time"
                records = gateway.wait(len(gateway.records) + 1)


def test_time_by_hand(tmp_path: Path) -> None:
    """A typing error must not give a board a clock of another century."""
    with VirtualBoard(tmp_path / "board") as board:
        answer = board.command("set time 12345")
        assert "ERROR time Unix seconds of this decade are needed" == answer
        board.ok(f"set time {int(time.time())}")
        assert abs(time.time() - board.status()["time"]) < 5
        assert 1 == board.status()["clock"]
