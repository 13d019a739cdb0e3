"""A board's console, when the board is slow, talks much, or is no board."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from tallystick_host import limits
from tallystick_host.console import BoardRefusedError, Console
from tallystick_host.errors import UndoneError


class Line:
    """A simulated line: each `write` of a command makes it send the next of `pieces`."""

    name = "the simulated line"
    hint = "this is a simulator"
    start_s = 0.5

    def __init__(self, pieces: Iterator[bytes], delay_s: float = 0.0) -> None:
        self._pieces, self._delay_s, self._ready = pieces, delay_s, [b""]

    def write(self, data: bytes) -> None:
        if data.strip():
            self._ready.append(next(self._pieces, b""))

    def read(self, timeout_s: float) -> bytes:
        if self._delay_s:
            time.sleep(min(self._delay_s, timeout_s))
        if not self._ready:
            time.sleep(timeout_s)
        return self._ready.pop(0) if self._ready else b""

    def close(self) -> None:
        return


def _console(*pieces: bytes, answer_s: float = 0.3) -> Console:
    return Console(Line(iter(pieces)), answer_s)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"OK\n", ""),
        (b'OK {"a": 1}\r\n', '{"a": 1}'),
        (b"# talk OK\n# more\r\nOK x\n", "x"),
        (b"rst:0x1 (POWERON_RESET)\n\xff\xfe\x00\nOK x\n", "x"),
    ],
)
def test_an_answer_is_found_among_talk(sent: bytes, expected: str) -> None:
    """Broken: a log line or the boot loader's noise is taken for the board's answer."""
    assert expected == _console(sent).ask("info")


def test_an_error_keeps_the_boards_words_on_one_line() -> None:
    """Broken: the user is not told why the board refused, or a board can write on the screen what it likes."""
    with pytest.raises(BoardRefusedError) as caught:
        _console(b"ERROR storage no room\x1b[2J\n").ask("set credential 00ff")
    assert "the board refused 'set credential': storage: no room\\x1b[2J" == caught.value.detail


def test_silence_ends_in_an_error_with_a_hint() -> None:
    """Broken: the command waits for ever for a board that is not there."""
    with pytest.raises(UndoneError) as caught:
        _console(b"").ask("info")
    assert ("console.timeout", "this is a simulator") == (caught.value.code, caught.value.hint)
    assert "no answer to 'info' from the simulated line" == caught.value.detail
    with pytest.raises(UndoneError):
        _console(b"").wake()


def test_what_came_instead_of_an_answer_is_quoted() -> None:
    """Broken: a board that sits in its REPL looks like a broken cable."""
    with pytest.raises(UndoneError, match="it sent '>>> info'"):
        _console(b">>> info\r\n").ask("info")


@pytest.mark.parametrize(
    "noise",
    [lambda: itertools.repeat(b"x" * 5000), lambda: itertools.repeat(b"hello\n" * 1000)],
    ids=["one line", "many lines"],
)
def test_endless_noise_is_cut_off(noise: Callable[[], Iterator[bytes]]) -> None:
    """Broken: whatever hangs on the port fills the memory."""
    sent = 0

    class Flood(Line):
        def read(self, timeout_s: float) -> bytes:
            nonlocal sent
            piece = next(self._pieces)
            sent += len(piece)
            return piece

    with pytest.raises(UndoneError) as caught:
        Console(Flood(noise()), answer_s=20).ask("info")
    assert "console.noise" == caught.value.code
    assert limits.CONSOLE_NOISE_BYTES + limits.CONSOLE_LINE_BYTES + 10_000 > sent


def test_late_answers_to_the_wake_up_call_are_not_taken_for_later_ones() -> None:
    """Broken: a slow board's answer to `help` is read as its answer to the challenge."""
    console = _console(b"OK info challenge\nOK info challenge\n", b"OK second\n")
    console.wake()
    assert "second" == console.ask("info")
