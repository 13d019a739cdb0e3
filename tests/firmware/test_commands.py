"""Whom a board obeys, and how often: commands good and bad, over a real broker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.bench import (
    GRANT,
    GatewayDouble,
    Signer,
    VirtualBoard,
    check_chain,
    genesis_prev,
)
from tests.parts import Broker

COMMAND = 65003
EVENT, COMMANDED = 3, 8
ALL = "report identify resend reset interval batch rotate unlock"


class Granted:
    """A running board (a simulator) whose owner allows all commands, and the gateway that holds its grant."""

    def __init__(
        self, owner: Signer, signer: Signer, board: VirtualBoard, double: GatewayDouble
    ) -> None:
        self.owner = owner
        self.signer = signer
        self.board = board
        self.double = double
        self.device = double.device

    def command(self, name: str, *args: object, counter: int, by: Signer | None = None) -> bytes:
        signer = by or self.signer
        return signer.sign(COMMAND, [self.device, counter, name.encode(), list(args)])

    def send(self, data: bytes) -> dict[str, Any]:
        """The board's answer to one message on its topic `cmd`."""
        before = len(self.double.answers)
        self.double.send_command(data)
        deadline = time.monotonic() + 20
        while len(self.double.answers) == before:
            assert time.monotonic() < deadline, f"no answer; the board said {self.board.said[-20:]}"
            time.sleep(0.02)
        (leaf, text) = self.double.answers[before]
        answer = dict(json.loads(text))
        assert ("cmd/accepted" if answer.get("code") is None else "cmd/rejected") == leaf
        return answer

    def code(self, data: bytes) -> str:
        return str(self.send(data).get("code"))

    def said_in_chain(self) -> list[tuple[int, str]]:
        """Counter and name of each command that the chain names."""
        return [
            (one.payload[5], one.payload[6].decode())
            for one in self.double.chain()
            if one.kind == EVENT and one.payload[4] == COMMANDED
        ]


@pytest.fixture
def granted(tmp_path: Path, broker: Broker) -> Iterator[Granted]:
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board", restart=True) as board:
        public = board.provision(owner, signer, broker.port, led_pin=2, commands=ALL)
        with GatewayDouble(broker.port, public, signer) as double:
            double.automatic = True
            board.ok("run")
            double.wait(3)
            yield Granted(owner, signer, board, double)


def test_a_command_is_obeyed_once(granted: Granted) -> None:
    """Whoever records a command could give it again, today or in a year; power comes and goes meanwhile."""
    command = granted.command("report", counter=7)
    answer = granted.send(command)
    assert (7, "report") == (answer["counter"], answer["name"])
    assert "command.counter" == granted.code(command)
    for counter in (0, 6, 7):
        assert "command.counter" == granted.code(granted.command("report", counter=counter))
    granted.board.restart()
    granted.double.wait(answer["seq"] + 2)
    granted.board.wait("connected", True)
    assert "command.counter" == granted.code(command)
    again = granted.send(granted.command("report", counter=8))
    granted.double.wait(again["seq"] + 2)
    # the chain is the evidence, in order, each once, and each with a beacon right behind it
    assert [(7, "report"), (8, "report")] == granted.said_in_chain()
    for one in (answer, again):
        assert 2 == granted.double.records[one["seq"] + 1].kind
    check_chain(granted.double.chain(), genesis_prev(granted.double.keys[0]))


def test_what_is_kept_is_kept_before_it_is_done(granted: Granted) -> None:
    """A board that is reset by a command and keeps its counter afterwards would reset for ever."""
    boots = granted.board.status()["boots"]
    answer = granted.send(granted.command("reset", counter=100))
    assert "reset" == answer["name"]
    granted.board.wait("boots", boots + 1)
    granted.board.wait("connected", True)
    assert "command.counter" == granted.code(granted.command("reset", counter=100))
    assert boots + 1 == granted.board.status()["boots"]
    records = granted.double.wait(answer["seq"] + 2)
    assert 0 == records[answer["seq"] + 1].kind  # the `open` of the start that it asked for


def test_forged_commands(granted: Granted) -> None:
    """Whoever can write to the broker could give a board orders."""
    good = granted.command("report", counter=50)
    stranger = Signer()
    other = granted.signer.sign(COMMAND, [bytes(8), 50, b"report", []])
    cases = [
        ("command.signature", granted.command("report", counter=50, by=stranger)),
        ("command.signature", granted.command("report", counter=50, by=granted.owner)),
        ("command.signature", good[:-1] + bytes([good[-1] ^ 1])),
        ("command.signature", good.replace(b"report", b"rotate")),
        ("command.signature", good[:-1]),
        ("command.signature", b"\0"),
        ("command.signature", granted.signer.sign(GRANT, [granted.device, 50, b"report", []])),
        ("command.signature", granted.signer.acknowledgement(granted.device, None, None)),
        ("command.signature", granted.double.records[1].data),  # its own record, reflected
        ("command.device", other),
        ("command.shape", granted.signer.sign(COMMAND, [granted.device, 50, b"report"])),
        ("command.shape", granted.signer.sign(COMMAND, [granted.device, -1, b"report", []])),
        ("command.shape", granted.signer.sign(COMMAND, [granted.device, 50, b"\xff", []])),
        ("command.shape", granted.signer.sign(COMMAND, [granted.device, 50, None, []])),
        ("command.shape", granted.signer.sign(COMMAND, 7)),
    ]
    # nothing is answered to a topic that is cleared, or to what is longer than a board reads
    for data in (b"", bytes(2000)):
        granted.double.send_command(data)
    for code, data in cases:
        assert code == granted.code(data)
    # none of them has taken the counter from the real one
    answer = granted.send(good)
    assert 50 == answer["counter"]
    granted.double.wait(answer["seq"] + 1)
    assert [(50, "report")] == granted.said_in_chain()


def test_a_gateway_that_was_replaced(granted: Granted) -> None:
    """A gateway that was stolen goes on giving orders after its owner has granted another."""
    assert 5 == granted.send(granted.command("report", counter=5))["counter"]
    successor = Signer()
    granted.double.publish_grant(successor, granted.owner.grant(successor, 2))
    deadline = time.monotonic() + 20
    while granted.board.info()["gateway"] != successor.kid.hex():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "command.signature" == granted.code(granted.command("report", counter=6))
    assert "command.counter" == granted.code(granted.command("report", counter=5, by=successor)), (
        "the counter is the board's, whoever commands"
    )
    assert 6 == granted.send(granted.command("report", counter=6, by=successor))["counter"]


def test_what_the_owner_has_not_allowed(granted: Granted) -> None:
    """A gateway that was broken into changes what is measured, or with which key it is signed."""
    granted.board.ok('set config {"commands": "report identify"}')
    before = granted.board.info()["key"]
    rotate = granted.command("rotate", counter=10)
    assert "command.allowed" == granted.code(rotate)
    assert "command.allowed" == granted.code(granted.command("interval", 60000, counter=11))
    # what was refused stays refused, once the owner allows it: nobody can give an old order then
    granted.board.ok(f'set config {{"commands": "{ALL}"}}')
    assert "command.counter" == granted.code(rotate)
    assert before == granted.board.info()["key"]
    for name, args in (
        ("interval", []),
        ("interval", [b"1000"]),
        ("identify", [3601]),
        ("resend", [4, 3]),
        ("reset", [None]),
        ("report", [1]),
    ):
        counter = 20 + len(granted.double.answers)
        assert "command.args" == granted.code(granted.command(name, *args, counter=counter))
    assert "command.failed" == granted.code(granted.command("interval", 1, counter=90))
    assert "command.name" == granted.code(granted.command("unset", counter=91))


def test_what_the_commands_do(granted: Granted) -> None:
    """A command that is accepted and changes nothing sends somebody into the field."""
    granted.send(granted.command("identify", 60, counter=1))
    granted.board.wait("light", "identify")
    answer = granted.send(granted.command("interval", 300, counter=2))
    records = granted.double.wait(answer["seq"] + 3)
    assert [0, 3] == [one.kind for one in records[answer["seq"] + 1 : answer["seq"] + 3]]
    arrived = len(granted.double.arrivals)
    granted.send(granted.command("resend", 1, counter=3))
    deadline = time.monotonic() + 20
    while not {1, 2} <= set(granted.double.arrivals[arrived:]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert 0 not in granted.double.arrivals[arrived:]
    answer = granted.send(granted.command("rotate", counter=4))
    records = granted.double.wait(answer["seq"] + 3)
    assert [4, 0] == [one.kind for one in records[answer["seq"] + 1 : answer["seq"] + 3]]
    assert granted.double.keys[1].hex() == granted.board.info()["key"]
    # the board is the same device: its counter goes on, and it obeys with its new key as before
    assert "command.counter" == granted.code(granted.command("report", counter=4))
    assert 5 == granted.send(granted.command("report", counter=5))["counter"]


def test_a_board_without_a_grant_or_with_a_new_owner(tmp_path: Path, broker: Broker) -> None:
    """A board that nobody has granted to anyone obeys the first who comes."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board", restart=True) as board:
        board.ok(f"set owner {owner.public.hex()}")
        board.ok(f"set broker 127.0.0.1 {broker.port}")
        board.ok('set config {"interval_ms": 200}')
        board.ok("genesis")
        with GatewayDouble(broker.port, bytes.fromhex(board.info()["key"]), signer) as double:
            board.ok("run")
            double.wait(3)
            granted = Granted(owner, signer, board, double)
            assert "command.grant" == granted.code(granted.command("report", counter=1))
            board.ok(f"set grant {owner.grant(signer).hex()}")
            assert 9 == granted.send(granted.command("report", counter=9))["counter"]
            board.ok(f"unset owner {double.device.hex()}")
            assert "command.grant" == granted.code(granted.command("report", counter=10))


def test_a_locked_board(granted: Granted) -> None:
    """Whoever finds a board with a cable in it would read its settings, forget its owner or give it another key."""
    board = granted.board
    id = granted.device.hex()
    assert board.command("lock 0123456789abcdef").startswith("ERROR confirm")
    board.ok(f"lock {id}")
    for line in (
        "config",
        "set interval 1",
        f"unset owner {id}",
        f"rotate {id}",
        "fingerprint",
        "run",
    ):
        assert board.command(line).startswith("ERROR locked"), line
    board.restart()
    assert board.info()["locked"]
    assert board.command("config").startswith("ERROR locked")
    board.ok(f"challenge {'00' * 16}")
    board.wait("connected", True)
    boots = board.status()["boots"]
    assert "command.counter" != granted.code(granted.command("unlock", counter=5))
    board.wait("boots", boots + 1)
    board.ok("config")
    assert not board.info()["locked"]


def test_in_the_heap_of_an_esp32(tmp_path: Path, broker: Broker) -> None:
    """A command that a board has no memory for restarts it, for ever if the broker keeps the command."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board", bits=32, heap="111k") as board:
        public = board.provision(owner, signer, broker.port, interval_ms=2000)
        with GatewayDouble(broker.port, public, signer) as double:
            double.automatic = True
            board.ok("run")
            double.wait(3)
            granted = Granted(owner, signer, board, double)
            for counter in range(1, 4):
                assert (
                    counter == granted.send(granted.command("report", counter=counter))["counter"]
                )
            answer = granted.send(granted.command("resend", 0, counter=4))
            double.wait(answer["seq"] + 1)
            assert 4 == len(granted.said_in_chain())
            assert board.running()
