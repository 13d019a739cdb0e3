"""A statement posted to a ledger, over MQTT (docs/format.md, sections 8 and 13).

1. The ledger's retained `tips` give the parents; they are hints, a wrong one gets the block rejected.
2. The block is published with QoS 1. That the broker has it says nothing: the ledger's receipt does.
3. `rejected` is an error with the ledger's code, tried again once if the parents had become unknown or old.
   `attached` is news that nobody signed; `confirmed` is proven by the milestone, whose signature is checked
   against the policy.

The block is signed by a key of its own that is thrown away: the statement's own signature counts.
"""

from __future__ import annotations

import queue
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallystick import block, cbor, receipt, topics
from tallystick.block import BlockKind
from tallystick.errors import TallystickError
from tallystick.fields import octets
from tallystick.keys import PrivateKey
from tallystick.limits import PARENTS, RECEIPT_BYTES, TIPS
from tallystick.policy import Log
from tallystick.receipt import Receipt, State
from tallystick_host import files, limits
from tallystick_host.errors import RefusedError, UndoneError, UseError
from tallystick_host.words import shown, shown_path

if TYPE_CHECKING:
    import paho.mqtt.client as paho

__all__ = ["Broker", "broker", "post"]

_STALE_PARENTS: Final = ("block.parent-unknown", "block.parent-deep")
_PORT: Final = "1883"


@dataclass(frozen=True)
class Broker:
    """Where the broker is, and the login if it asks for one."""

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def broker(text: str, user: str | None = None, password_file: Path | None = None) -> Broker:
    """The broker at HOST[:PORT]; the password is the first line of a file, and stands in no argument."""
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, _PORT
    if not host or not host.isprintable() or not (port.isascii() and port.isdigit()):
        raise UseError(f"{text!r} is not HOST:PORT")
    if not 1 <= int(port) <= 65_535:
        raise UseError(f"{text!r} is not HOST:PORT: a port is a number from 1 to 65535")
    if password_file is None:
        return Broker(host, int(port), user)
    if user is None:
        raise UseError("--password-file needs --user")
    lines = files.read(password_file, limits.PASSWORD_FILE_BYTES).splitlines()
    try:
        return Broker(host, int(port), user, lines[0].decode() if lines else "")
    except UnicodeDecodeError:
        # the cause is left out: it quotes the password
        raise UseError(f"the password in {shown_path(password_file)!r} is not UTF-8") from None


def post(at: Broker, ledger: Log, said: bytes, *, wait: bool) -> Receipt:
    """Post the statement `said` to the ledger; its receipt, attached or with `wait` confirmed.

    `RefusedError` with the ledger's code if it rejects the block, `UndoneError` if nobody answers.
    """
    with _connection(at) as line:
        answer = _submit(line, ledger, said)
        if answer.state is State.REJECTED and answer.detail in _STALE_PARENTS:
            answer = _submit(line, ledger, said)
        if answer.state is State.REJECTED:
            code = answer.detail or "block.rejected"
            raise RefusedError(f"the ledger rejects the statement: {code}", code=code)
        if wait and answer.state is not State.CONFIRMED:
            answer = line.receipt(
                ledger, answer.block, limits.CONFIRMED_S, lambda one: one.state is State.CONFIRMED
            )
        if answer.confirmed is not None:
            _check(answer, ledger)
        return answer


def _submit(line: _Line, ledger: Log, said: bytes) -> Receipt:
    names = topics.Ledger(ledger.ledger)
    tips = _parse_tips(line.retained(names.tips))
    parents = secrets.SystemRandom().sample(tips, min(len(tips), PARENTS))
    raw = block.sign(PrivateKey.generate(), parents, int(time.time()), BlockKind.STATEMENT, said)
    line.subscribe(names.receipt(block.block_id(raw)))
    line.publish(names.submit, raw)
    return line.receipt(ledger, block.block_id(raw), limits.RECEIPT_S, lambda _: True)


def _parse_tips(raw: bytes) -> list[bytes]:
    try:
        value = cbor.decode(raw)
        if not isinstance(value, list) or not 0 < len(value) <= TIPS:
            raise UndoneError("the ledger shows no tips to build on", code="ledger.tips")
        return list(dict.fromkeys(octets(one, "tip", 32) for one in value))
    except TallystickError as error:
        raise UndoneError(
            f"what stands as the ledger's tips is none: {error.detail}", code=error.code
        ) from error


def _check(answer: Receipt, ledger: Log) -> None:
    """Is the block in this ledger, by the word of the key that the policy trusts?"""
    confirmed = answer.confirmed
    if confirmed is None:
        return
    stone = confirmed.milestone
    try:
        confirmed.verify_inclusion()
        stone.verify(ledger.vkey.key)
    except TallystickError as error:
        raise RefusedError(
            f"the receipt proves nothing: {error.detail}", code=error.code
        ) from error
    if stone.ledger != ledger.ledger:
        raise RefusedError("the receipt is of another ledger", code="milestone.ledger")


class _Line:
    """One connection: what arrives is taken in order, everything else is thrown away."""

    def __init__(self, client: paho.Client, at: Broker) -> None:
        self._client = client
        self._at = at
        self._inbox: queue.Queue[tuple[str, bytes]] = queue.Queue(limits.INBOX_MESSAGES)
        self._events: queue.Queue[str] = queue.Queue()
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._events.put("subscribed")
        client.on_message = self._on_message
        client.on_disconnect = lambda *_: self._events.put("gone")

    def open(self) -> None:
        """Connect, or `UndoneError`."""
        try:
            self._client.connect(self._at.host, self._at.port)
        except (OSError, ValueError) as error:
            raise UndoneError(
                f"no broker at '{self._at}': {shown(str(error))}",
                code="broker.unreachable",
                hint="is it running, and is the address right?",
            ) from error
        self._client.loop_start()
        self._await("connected")

    def subscribe(self, topic: str) -> None:
        """Have messages of `topic` sent from now on."""
        self._client.subscribe(topic, 1)
        self._await("subscribed")

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand `payload` to the broker, and wait until it has it."""
        info = self._client.publish(topic, payload, qos=1)
        try:
            info.wait_for_publish(limits.BROKER_S)
        except (RuntimeError, ValueError) as error:
            raise self._silent("does not take the statement") from error
        if not info.is_published():
            raise self._silent("does not take the statement")

    def retained(self, topic: str) -> bytes:
        """What stands at `topic`."""
        self.subscribe(topic)
        for got, payload in self._messages(limits.TIPS_S):
            if got == topic:
                return payload
        raise UndoneError(
            f"the broker '{self._at}' has nothing of this ledger",
            code="ledger.tips",
            hint="does the ledger run, at this broker? may this login read its topics?",
        )

    def receipt(
        self, ledger: Log, id: bytes, timeout_s: float, wanted: Callable[[Receipt], bool]
    ) -> Receipt:
        """The first receipt for block `id` that is `wanted`."""
        topic = topics.Ledger(ledger.ledger).receipt(id)
        for got, payload in self._messages(timeout_s):
            if got != topic:
                continue
            try:
                answer = receipt.parse(payload)
            except TallystickError:
                continue  # anyone may publish bytes there
            if answer.block == id and wanted(answer):
                return answer
        raise UndoneError(
            f"no receipt of the ledger for block {id.hex()} in {timeout_s:.0f} s",
            code="ledger.silent",
            hint="the statement may still be attached: tally device history shows it",
        )

    def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client.loop_stop()

    def _messages(self, timeout_s: float) -> Iterator[tuple[str, bytes]]:
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                yield self._inbox.get(timeout=left)
            except queue.Empty:
                return

    def _await(self, event: str) -> None:
        deadline = time.monotonic() + limits.BROKER_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                got = self._events.get(timeout=left)
            except queue.Empty:
                break
            if got == event:
                return
            if got in ("refused", "gone"):
                raise UndoneError(
                    f"the broker '{self._at}' refuses us",
                    code="broker.refused",
                    hint="--user NAME and --password-file FILE log in",
                )
        raise self._silent("does not answer")

    def _silent(self, what: str) -> UndoneError:
        return UndoneError(f"the broker '{self._at}' {what}", code="broker.silent")

    def _on_connect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self._events.put("refused" if reason.is_failure else "connected")

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if len(payload) <= RECEIPT_BYTES and not self._inbox.full():
            self._inbox.put((message.topic, payload))


@contextmanager
def _connection(at: Broker) -> Iterator[_Line]:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        f"tally-{secrets.token_hex(8)}",
        protocol=MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    client.connect_timeout = limits.BROKER_S
    if at.user is not None:
        client.username_pw_set(at.user, at.password)
    line = _Line(client, at)
    line.open()
    try:
        yield line
    finally:
        line.close()
