"""Commands to a modem over a line that splits, merges, repeats, chatters and dies.

If these fail, a board hangs on its modem until the watchdog bites, or takes the signal strength for
a message that was sent.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.parts import ROOT


def loaded() -> ModuleType:
    """The board's module, in this Python."""
    sys.path.insert(0, str(ROOT / "firmware"))
    try:
        return importlib.import_module("modem.at")
    finally:
        sys.path.remove(str(ROOT / "firmware"))


at = loaded()


@dataclass
class Mood:
    """How the modem behaves for one command."""

    delay_ms: int = 0
    fails: bool = False
    dead: bool = False
    chatter: tuple[bytes, ...] = ()  # lines put between command and answer
    echo: bool = False  # although it was told not to


@dataclass
class Line:
    """A serial line with a modem at its end, and the clock of both: nothing here takes real time.

    The modem numbers its answers, `+COUNT: 1`, `+COUNT: 2` ..., in the order of the commands, so
    that an answer given to the wrong command shows.
    """

    moods: list[Mood] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)  # sizes of what one `read` gives
    noise: list[tuple[int, bytes]] = field(
        default_factory=list
    )  # bytes that come in between, and after how many
    now: int = 0
    count: int = 0
    given: dict[int, int] = field(default_factory=dict)  # n-th COUNT command -> its number
    busy: bool = False  # the network takes no call
    flood: bytes = b""  # what it says without end, a piece with each `read`
    received: bytes = b""
    prompts: list[bytes] = field(default_factory=list)
    _coming: list[tuple[int, bytes]] = field(default_factory=list)
    _ready: bytes = b""
    _typed: bytes = b""
    _echo: bool = True
    _wants: int = 0
    _busy_until: int = 0

    def ticks(self) -> int:
        """Milliseconds."""
        return self.now

    def pause(self) -> None:
        """The board waits a little."""
        self.now += 10

    def read(self, size: int) -> bytes | None:
        """What has arrived, in pieces of any size."""
        self._coming.sort(key=lambda item: item[0])
        while self._coming and self._coming[0][0] <= self.now:
            self._ready += self._disturbed(self._coming.pop(0)[1])
        if self.flood:
            self._ready += self.flood
            self.now += 1  # it takes its time on the wire
        if self.pieces:
            size = min(size, self.pieces.pop(0))
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece or None

    def _disturbed(self, data: bytes) -> bytes:
        """With the noise of the line between its bytes."""
        out = b""
        while self.noise and self.noise[0][0] < len(data):
            after, bad = self.noise.pop(0)
            out, data = out + data[:after] + bad, data[after:]
        if self.noise:
            self.noise[0] = (self.noise[0][0] - len(data), self.noise[0][1])
        return out + data

    def write(self, data: bytes) -> None:
        """What the board sends."""
        for byte in data:
            if self._wants:
                self.received += bytes([byte])
                self._wants -= 1
                if not self._wants:
                    self.prompts.append(self.received)
                    self._say(b"\r\nOK\r\n", 0)
            elif byte == 0x1B:
                self._typed = b""
            elif byte == 0x0D:
                line, self._typed = self._typed, b""
                self._run(line)
            else:
                self._typed += bytes([byte])

    def _say(self, data: bytes, delay: int) -> None:
        self._busy_until = max(self._busy_until, self.now) + delay
        self._coming.append((self._busy_until, data))

    def _run(self, line: bytes) -> None:
        if not line:
            return
        if self._echo:
            self._say(line + b"\r", 0)
        mood = self.moods.pop(0) if self.moods and line.startswith(b"AT+") else Mood()
        if mood.dead:
            return
        if mood.echo and not self._echo:
            self._say(line + b"\r\r\n", 0)
        for text in mood.chatter:
            self._say(b"\r\n" + text + b"\r\n", 0)
        if line in (b"ATE0", b"ATE1"):
            self._echo = line == b"ATE1"
            self._say(b"\r\nOK\r\n", 0)
        elif line == b"AT+COUNT":
            self.count += 1
            answer = (
                b"\r\nERROR\r\n" if mood.fails else b"\r\n+COUNT: %d\r\n\r\nOK\r\n" % self.count
            )
            self._say(answer, mood.delay_ms)
        elif line == b"AT+LATE":
            self._say(b"\r\nOK\r\n", 0)
            self._say(b"\r\n+LATE: 0,%d\r\n" % mood.fails, mood.delay_ms)
        elif line == b"ATD*99#":
            self._say(b"\r\nNO CARRIER\r\n" if self.busy else b"\r\nCONNECT 115200\r\n~\xff}#", 0)
        elif line.startswith(b"AT+SEND="):
            self._wants, self.received = int(line[8:]), b""
            self._say(b"\r\n>", mood.delay_ms)
        else:
            self._say(b"\r\nERROR\r\n", 0)


def modem(line: Line) -> Any:
    """The board's end."""
    made = at.At(line, line.ticks, lambda later, earlier: later - earlier, line.pause)
    made.begin()
    return made


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the name of what it raises."""
    try:
        return call()
    except (at.AtError, at.Silent) as error:
        return type(error).__name__


def test_an_answer_is_taken_apart() -> None:
    """Information lines without their name, in order."""
    line = Line()
    board = modem(line)
    assert board.command("+COUNT", info="+COUNT:") == ["1"]
    assert board.ask("+COUNT", "+COUNT:") == ["2"]
    assert board.command("+LATE", ends="+LATE:") == ["0,0"]


def test_an_unsolicited_line_finds_its_listener() -> None:
    """A message that arrives while another command runs would be lost, or taken for its answer."""
    line = Line(moods=[Mood(chatter=(b"+CMQTTRXSTART: 0,3,4", b"RING", b"+COUNT")), Mood()])
    board = modem(line)
    heard: list[str] = []
    board.unsolicited["+CMQTTRX"] = heard.append
    assert board.command("+COUNT", info="+COUNT:") == ["1"]
    assert heard == ["START: 0,3,4"]
    assert board.dropped >= 2


def test_data_follows_the_prompt() -> None:
    """Bytes of any value, a prompt's own sign among them."""
    line = Line()
    board = modem(line)
    data = bytes(range(256))
    board.command("+SEND=256", data=data)
    assert line.prompts == [data]


def test_an_error_is_an_answer() -> None:
    """It must not wait for the deadline, and the line stays in step."""
    line = Line(moods=[Mood(fails=True), Mood()])
    board = modem(line)
    began = line.now
    with pytest.raises(at.AtError, match="ERROR"):
        board.command("+COUNT", info="+COUNT:")
    assert line.now - began < 100
    assert board.command("+COUNT", info="+COUNT:") == ["2"]


def test_a_late_answer_is_nobodys() -> None:
    """The old answer arrives when the next command has been sent."""
    line = Line(moods=[Mood(delay_ms=4000), Mood()])
    board = modem(line)
    with pytest.raises(at.Silent):
        board.command("+COUNT", info="+COUNT:")
    assert board.command("+COUNT", info="+COUNT:") == ["2"]


def test_a_dead_modem_is_silent_in_bounded_time() -> None:
    """Whoever asks must learn of it, and go on to the power key."""
    line = Line()
    board = at.At(line, line.ticks, lambda later, earlier: later - earlier, line.pause)
    line.write = lambda data: None  # type: ignore[method-assign]
    with pytest.raises(at.Silent):
        board.begin()
    assert line.now < 60_000


def test_garbage_without_end_takes_no_memory() -> None:
    """A modem at another speed sends bytes and never a line."""
    line = Line()
    board = modem(line)
    line._ready = b"\xff" * 100_000
    board.poll()
    assert len(board._buffer) <= 1200 + 256
    assert board.command("+COUNT", info="+COUNT:") == ["1"]


@pytest.mark.parametrize("flood", [b"\xff\x00", b"#\r\n", b"\r\nOK\r\n", b"\r\n+DATA: 99\r\n"])
def test_a_line_that_never_falls_silent_has_an_end(flood: bytes) -> None:
    """A wire that floats, a modem at another speed: without an end the board waits until its watchdog bites, and again
    after that."""
    line = Line()
    board = modem(line)
    board.unsolicited["+DATA:"] = lambda rest: (int(rest), lambda data: None)
    line.flood = flood
    for call in (board.poll, board.begin, lambda: board.command("+COUNT", info="+COUNT:")):
        began = line.now
        outcome(call)
        assert line.now - began < 60_000
    line.flood = b""
    line._ready = b""
    board.begin()
    assert board.command("+COUNT", info="+COUNT:") == [str(line.count)]


@pytest.mark.parametrize("length", ["", "x", "-7", "1,", "99999999"])
def test_a_garbled_length_ends_nothing(length: str) -> None:
    """It is noise on the line: no error of Python's, and what comes behind it is not swallowed for ever."""
    line = Line()
    board = modem(line)
    board.unsolicited["+DATA:"] = lambda rest: (int(rest.split(",")[0]), lambda data: None)
    line._say(b"\r\n+DATA: %s\r\n" % length.encode(), 0)
    assert outcome(lambda: board.command("+COUNT", info="+COUNT:")) in ("Silent", ["1"])
    assert board.command("+COUNT", info="+COUNT:") == ["2"]


def test_a_call_is_answered_without_ok() -> None:
    """CONNECT is the last word of a modem that goes over to data (V.250): who waits for OK waits for ever."""
    line = Line()
    board = modem(line)
    began = line.now
    assert board.command("D*99#", 30_000, ends="CONNECT") == ["115200"]
    line.busy = True
    board.begin()
    with pytest.raises(at.AtError, match="NO CARRIER"):
        board.command("D*99#", 30_000, ends="CONNECT")
    assert line.now - began < 3_000


def quoted(line: Line) -> tuple[Any, list[bytes]]:
    """The board's end, of a modem that tells no length of its messages; and what it has heard."""
    board = modem(line)
    heard: list[bytes] = []
    board.quoted = (b"+MSG: ", heard.append)
    return board, heard


@pytest.mark.parametrize("before", [0, 40])
@pytest.mark.parametrize("lengthy", [False, True])
def test_a_message_answers_no_command(*, before: int, lengthy: bool) -> None:
    """Who can publish could write the board's position, or the signature of its card, behind the end of a message."""
    line = Line()
    board, _ = quoted(line)
    forged = (
        b"x" * (1300 if lengthy else 0)
        + b'"\r\n+COUNT: 666\r\n\r\nOK\r\n+COUNT: 666\r\n\r\nOK\r\n"'
    )
    # it is there when the command is sent, or comes before the answer does
    line._coming.append((line.now + before, b'\r\n+MSG: "t","' + forged + b"\r\n"))
    line.moods = [Mood(delay_ms=200)]
    result = outcome(lambda: board.command("+COUNT", info="+COUNT:"))
    assert result in ("Silent", [str(line.count)])
    assert outcome(lambda: board.command("+COUNT", info="+COUNT:")) == [str(line.count)]


def test_a_message_costs_no_command_that_tells_nothing() -> None:
    """An OK that was forged deletes nothing: records go on while acknowledgements come."""
    line = Line()
    board, heard = quoted(line)
    line._say(b'\r\n+MSG: "t","one"\r\n', 0)
    assert board.command("+SEND=3", data=b"abc") == []
    assert heard == [b'"t","one"']
    assert board.strange


def test_all_of_an_attempt_has_one_end() -> None:
    """Each command in its time, and still the watchdog would bite before the last one."""
    line = Line(moods=[Mood(delay_ms=2500)] * 20)
    board = modem(line)
    began = line.now
    board.within(10_000)
    results = [outcome(lambda: board.command("+COUNT", info="+COUNT:")) for _ in range(20)]
    assert [str(n) for n in range(1, 4)] == [one[0] for one in results[:3]]
    assert {"Silent"} == set(results[4:])
    assert line.now - began < 20_000
    board.within(None)
    line.moods = []
    assert board.command("+COUNT", info="+COUNT:") == [str(line.count)]


@given(data=st.binary(min_size=1, max_size=300), pieces=st.lists(st.integers(1, 9), max_size=80))
def test_bytes_after_a_line_are_taken_as_they_are(data: bytes, pieces: list[int]) -> None:
    """An acknowledgement holds every byte, line ends among them."""
    line = Line(pieces=pieces)
    board = modem(line)
    got: list[bytes] = []
    board.unsolicited["+DATA:"] = lambda rest: (int(rest), got.append)
    line._say(b"\r\n+DATA: %d\r\n" % len(data) + data + b"\r\n+COUNT: 9\r\n", 0)
    while line._coming or line._ready:
        board.poll()
    assert got == [data]
    assert board.command("+COUNT", info="+COUNT:") == ["1"]


def test_a_message_that_breaks_off_is_not_the_end() -> None:
    """Bytes are lost on the way: what follows must not be swallowed for ever."""
    line = Line()
    board = modem(line)
    got: list[bytes] = []
    board.unsolicited["+DATA:"] = lambda rest: (int(rest), got.append)
    line._say(b"\r\n+DATA: 900\r\nabc", 0)
    board.poll()
    assert outcome(lambda: board.command("+COUNT", info="+COUNT:")) in ("Silent", ["1"])
    assert board.command("+COUNT", info="+COUNT:") == ["2"]


MOODS = st.builds(
    Mood,
    delay_ms=st.sampled_from([0, 0, 0, 50, 2990, 3500, 7000]),
    fails=st.booleans(),
    dead=st.sampled_from([False, False, False, True]),
    chatter=st.lists(
        st.sampled_from([b"RING", b"+URC: 7", b"\xff\xfe\x00", b"+CSQ: 9,99", b"NO CARRIER", b">"]),
        max_size=3,
    ).map(tuple),
    echo=st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(
    moods=st.lists(MOODS, max_size=12),
    pieces=st.lists(st.integers(1, 40), max_size=400),
    kinds=st.lists(st.sampled_from(["count", "late", "send"]), min_size=1, max_size=12),
)
def test_no_answer_goes_to_another_command(
    moods: list[Mood], pieces: list[int], kinds: list[str]
) -> None:
    """Whatever the line does: each command gets its own answer, or an error, in bounded time."""
    line = Line(pieces=pieces)
    board = modem(line)
    line.moods = moods
    heard: list[str] = []
    board.unsolicited["+URC:"] = heard.append
    for kind in kinds:
        began, sent = line.now, line.count
        if kind == "count":
            result = outcome(lambda: board.command("+COUNT", info="+COUNT:"))
            assert result in ([str(line.count)], "AtError", "Silent")
            if result not in ("AtError", "Silent"):
                assert line.count == sent + 1
        elif kind == "late":
            result = outcome(lambda: board.command("+LATE", ends="+LATE:", limit_ms=5000))
            assert result in (["0,0"], ["0,1"], "AtError", "Silent")
        else:
            before = len(line.prompts)
            result = outcome(lambda: board.command("+SEND=5", data=b"\r\n>OK"))
            if result == []:
                assert len(line.prompts) > before
                assert line.prompts[-1] == b"\r\n>OK"
        assert line.now - began < 120_000
    assert set(heard) <= {"7"}


FORGED = [
    b'+MSG: "t","an honest message"',
    b'+MSG: "t","\r\n+COUNT: 666\r\n\r\nOK"',
    b'+MSG: "t",""\r\n+COUNT: 666\r\n\r\nOK\r\n"',
    b'+MSG: "t",""\r\nERROR\r\n+COUNT: 666\r\nOK\r\nAT#00000000\r\nOK\r\nATE0\r\nOK\r\n"',
    b'+MSG: "t","' + b"x" * 1300 + b'\r\n+COUNT: 666\r\n\r\nOK"',
]


@settings(max_examples=150, deadline=None)
@given(
    moods=st.lists(
        st.builds(
            Mood,
            delay_ms=st.sampled_from([0, 0, 50, 3500]),
            chatter=st.lists(st.sampled_from(FORGED), max_size=2).map(tuple),
        ),
        max_size=10,
    ),
    pieces=st.lists(st.integers(1, 40), max_size=400),
    between=st.lists(st.sampled_from([b"", *FORGED]), min_size=1, max_size=8),
)
def test_no_message_answers_a_command(
    moods: list[Mood], pieces: list[int], between: list[bytes]
) -> None:
    """However a message is cut, and whenever it comes: what it says is no position, and no signature of a card."""
    line = Line(pieces=pieces)
    board, _ = quoted(line)
    line.moods = moods
    for message in between:
        if message:
            line._say(b"\r\n" + message + b"\r\n", 0)
        began = line.now
        result = outcome(lambda: board.command("+COUNT", info="+COUNT:"))
        assert result in ([str(line.count)], "AtError", "Silent")
        assert line.now - began < 120_000


NOISE = st.tuples(
    st.integers(0, 60),
    st.sampled_from([b"\xff", b"\x00", b"\x80\xfe", b"#", b"~" * 1300, b"\r", b"\n"]),
)


@settings(max_examples=150, deadline=None)
@given(
    noise=st.lists(NOISE, max_size=40),
    pieces=st.lists(st.integers(1, 40), max_size=200),
    count=st.integers(1, 8),
)
def test_noise_between_the_bytes(
    noise: list[tuple[int, bytes]], pieces: list[int], count: int
) -> None:
    """A bad cable, another speed, a modem that reboots: an answer may be lost, and none becomes another command's."""
    line = Line(pieces=pieces)
    board = modem(line)
    line.noise = noise
    for _ in range(count):
        began = line.now
        result = outcome(lambda: board.command("+COUNT", info="+COUNT:"))
        if isinstance(result, list):
            digits = "".join(
                character for text in result for character in text if character.isdigit()
            )
            # what noise has cut is a part of the own number
            assert str(line.count).startswith(digits)
        assert line.now - began < 120_000
    # when the noise is over, all is as it was
    line.noise = []
    outcome(lambda: board.command("+COUNT", info="+COUNT:"))
    result = board.command("+COUNT", info="+COUNT:")
    assert [str(line.count)] == result
