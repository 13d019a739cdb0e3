"""`tally device rotate`: a new key for the board that is meant, and for no other."""

from __future__ import annotations

import json

import pytest

from tallystick import message
from tallystick.keys import PrivateKey
from tallystick_host import rotating
from tallystick_host.console import Console
from tallystick_host.errors import HostError, RefusedError, UndoneError
from tests.host_tools.conftest import Tally
from tests.host_tools.scripted_board import ScriptedBoard
from tests.world import key


class RotatingBoard(ScriptedBoard):
    """A scripted board (a simulator) that takes the keys it is given, one after the other."""

    def __init__(self, *keys: PrivateKey) -> None:
        super().__init__()
        self.first = self.signer.public.kid
        self.keys = list(keys)
        self.lie: str | None = None

    def _info(self, rest: str) -> str:
        return "OK " + json.dumps({"id": self.first.hex(), "key": self.signer.public.raw.hex()})

    def _challenge(self, rest: str) -> str:
        nonce = bytes.fromhex(rest)
        raw = message.sign_challenge(
            self.signer, device=self.first, nonce=nonce, next_seq=self.next
        )
        return "OK " + raw.hex()

    def _rotate(self, rest: str) -> str:
        if rest != self.first.hex() or self.next is None:
            return "ERROR refused no head"
        self.signer = self.keys.pop(0)
        self.next += 1
        return "OK " + (self.lie or self.signer.public.raw.hex())


def console(board: ScriptedBoard) -> Console:
    made = Console(board, answer_s=1.0)
    made.wake()
    return made


def test_a_new_key_twice() -> None:
    """Broken: a board can change its key once in its life only, or its id changes with it."""
    board = RotatingBoard(key("second"), key("third"))
    board.next = 40
    at = console(board)
    done = rotating.rotate(at, board.first.hex())
    assert (key("board").public, key("second").public) == (done.before, done.now)
    again = rotating.rotate(at, board.first.hex())
    assert (key("second").public, key("third").public, 42) == (again.before, again.now, again.next)


def test_another_board_is_left_alone() -> None:
    """Broken: the board on the wrong cable loses its key."""
    board = RotatingBoard(key("second"))
    board.next = 40
    with pytest.raises(RefusedError) as refused:
        rotating.rotate(console(board), "00" * 8)
    assert "rotate.other-board" == refused.value.code
    assert key("board").public == board.signer.public


def test_a_board_that_only_says_so() -> None:
    """Broken: a board that kept its old key, or names one that it does not hold, counts as rotated."""
    same = RotatingBoard(key("board"))
    lying = RotatingBoard(key("second"))
    lying.lie = key("third").public.raw.hex()
    for board in (same, lying):
        board.next = 40
        with pytest.raises(RefusedError) as refused:
            rotating.rotate(console(board), board.first.hex())
        assert "rotate.key" == refused.value.code


def test_a_board_that_refuses() -> None:
    """Broken: a board without a head, or with an older agent, ends in a traceback."""
    with pytest.raises(UndoneError) as refused:
        rotating.rotate(console(RotatingBoard()), key("board").public.kid.hex())
    assert "rotate.refused" == refused.value.code


def test_an_answer_of_another_moment() -> None:
    """Broken: a recorded answer stands in for the board."""
    board = RotatingBoard(key("second"))
    board.next = 40
    recorded = board._challenge("00" * 16)
    board._challenge = lambda rest: recorded  # type: ignore[method-assign]
    with pytest.raises(HostError) as refused:
        rotating.rotate(console(board), board.first.hex())
    assert "challenge.nonce" == refused.value.code


@pytest.mark.usefixtures("micropython64")
def test_the_real_agent_on_a_virtual_board(tally: Tally) -> None:
    """Broken: this command and the boards' firmware no longer understand each other."""
    tally("init")
    fleet = ("--enrolment", "fleet.json", "--virtual", "board")
    assert 0 == tally("enrol", *fleet, "--name", "one").status
    first = json.loads(tally("device", "rotate", "one", *fleet, "--json").out)
    again = json.loads(tally("device", "rotate", first["id"], *fleet, "--json").out)
    assert first["in_force"] == again["before"]
    assert 3 == len({first["before"], first["in_force"], again["in_force"]})
