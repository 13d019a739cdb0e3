"""A board's console, seen from the host: one line asked, one line answered.

::

    host   challenge 00112233445566778899aabbccddeeff
    board  # no key yet: making one                       talk: skipped
    board  OK d28458...                                   or: ERROR <code> <detail>

Everything that a board sends is an outsider's: lines have a limit, what is no answer is skipped up to a limit, and a
board that says nothing in time ends in an error, never in a wait. The console works over any `Transport` of bytes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from tallystick_host import limits
from tallystick_host.errors import UndoneError
from tallystick_host.words import shown

__all__ = ["BoardRefusedError", "Console", "Transport", "TransportError"]

_PIECE_S: Final = 0.2
_WAKE_EVERY_S: Final = 3.0
_QUIET_S: Final = 0.3
_WAITS: Final = ("# the SIM card says", "# no network", "# the modem does not answer")


class TransportError(UndoneError):
    """The way to the board is not there, or broke."""


class BoardRefusedError(UndoneError):
    """The board answered ERROR; `board_code` and `board_detail` are its own words."""

    def __init__(self, command: str, board_code: str, board_detail: str) -> None:
        super().__init__(
            f"the board refused {command!r}: {board_code}: {board_detail}", code="console.refused"
        )
        self.board_code = board_code
        self.board_detail = board_detail


class Transport(Protocol):
    """Bytes to a board and back. `start_s`: seconds that the board may take until it answers for the first time."""

    start_s: float

    @property
    def name(self) -> str:
        """For messages: a port, a folder."""

    @property
    def hint(self) -> str:
        """What to do when the board is silent."""

    def write(self, data: bytes) -> None:
        """Send all of `data`; `TransportError` if the way is gone."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, b"" if nothing came in `timeout_s`; `TransportError` if the way is gone."""

    def close(self) -> None:
        """Let go of the board."""


class Console:
    """Asks a board. `answer_s`: how long an answer may take (seconds); `heard` gets its talk, line by line."""

    def __init__(
        self,
        transport: Transport,
        answer_s: float = limits.CONSOLE_ANSWER_S,
        heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.transport = transport
        self._heard = heard
        self._answer_s = answer_s
        self._pending = bytearray()
        self._noise = ""
        self._waits = False  # for its SIM card

    def wake(self, patience_s: float | None = None) -> None:
        """Wait until the board answers, as it does not while it starts; then throw away what it said so far.

        `patience_s`: seconds, if the start takes longer than is usual.

        A port that was just opened may have reset the board, and half a line may stand in its buffer: the empty line
        ends that, and `help` is asked until one answer comes. Late answers to the earlier ones are drained. A board
        that says that it waits for its modem or its SIM card is given the time that it gives them.
        """
        began = time.monotonic()
        deadline = began + max(self.transport.start_s, patience_s or 0)
        while True:
            self.transport.write(b"\n")
            try:
                self._ask("help", min(deadline, time.monotonic() + _WAKE_EVERY_S))
                break
            except BoardRefusedError:
                break  # it answers, if only to half a line
            except UndoneError as error:
                if self._waits:
                    deadline = max(deadline, began + limits.CARD_START_S)
                if isinstance(error, TransportError) or time.monotonic() >= deadline:
                    raise
        while self.transport.read(_QUIET_S):
            pass
        self._pending.clear()

    def ask(self, command: str) -> str:
        """The answer to `command`: what follows OK. `BoardRefusedError` for ERROR, `UndoneError` for none in time."""
        return self._ask(command, time.monotonic() + self._answer_s)

    def facts(self, command: str) -> dict[str, Any]:
        """The answer to `command` as the JSON object that it must be."""
        try:
            facts = json.loads(self.ask(command))
        except (ValueError, RecursionError) as error:
            raise UndoneError(
                f"the answer to {command!r} is not JSON", code="console.form"
            ) from error
        if not isinstance(facts, dict):
            raise UndoneError(f"the answer to {command!r} is no JSON object", code="console.form")
        return facts

    def _ask(self, command: str, deadline: float) -> str:
        # of a command only its words: what follows them is long
        words = (
            " ".join(command.split()[:2])
            if command.startswith("set ")
            else command.split(maxsplit=1)[0]
        )
        self.transport.write(command.encode() + b"\n")
        self._noise = ""
        skipped = 0
        while True:
            line = self._line(deadline, words)
            text = line.decode("utf-8", "replace").strip()
            status, _, rest = text.partition(" ")
            if status == "OK":
                return rest.strip()
            if status == "ERROR":
                code, _, detail = rest.partition(" ")
                raise BoardRefusedError(words, shown(code, 40), shown(detail))
            if text.startswith("#"):
                self._waits = self._waits or text.startswith(_WAITS)
                self._heard(shown(text))
            elif text:
                self._noise = self._noise or text
            skipped += len(line) + 1
            if skipped > limits.CONSOLE_NOISE_BYTES:
                raise UndoneError(
                    f"{self.transport.name} sends much, and no answer to {words!r}",
                    code="console.noise",
                    hint="is there a Tallystick board at this port?",
                )

    def _line(self, deadline: float, words: str) -> bytes:
        while b"\n" not in self._pending:
            if len(self._pending) > limits.CONSOLE_LINE_BYTES:
                raise UndoneError(
                    f"{self.transport.name} sends a line without an end",
                    code="console.noise",
                    hint="is there a Tallystick board at this port, and nothing else?",
                )
            left = deadline - time.monotonic()
            if left <= 0:
                sent = f"; it sent {shown(self._noise, 60)!r}" if self._noise else ""
                raise UndoneError(
                    f"no answer to {words!r} from {self.transport.name}{sent}",
                    code="console.timeout",
                    hint=self.transport.hint,
                )
            self._pending += self.transport.read(min(left, _PIECE_S))
        line, _, rest = bytes(self._pending).partition(b"\n")
        self._pending = bytearray(rest)
        return line
