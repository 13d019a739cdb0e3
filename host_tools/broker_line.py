"""A connection to the MQTT broker, for commands that say something and wait for the answer."""

from __future__ import annotations

import queue
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tallystick_host import files, limits
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.words import shown, shown_path

if TYPE_CHECKING:
    import paho.mqtt.client as paho

__all__ = ["Broker", "Line", "Message", "broker", "connection"]

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


class Message(NamedTuple):
    """What came. `retained`: it was there before we asked."""

    topic: str
    payload: bytes
    retained: bool


class Line:
    """One connection: what arrives is taken in order; what is longer than `most` bytes is thrown away."""

    def __init__(self, client: paho.Client, at: Broker, most: int) -> None:
        self._client = client
        self._at = at
        self._most = most
        self._inbox: queue.Queue[Message] = queue.Queue(limits.INBOX_MESSAGES)
        self._events: queue.Queue[str] = queue.Queue()
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
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

    def publish(self, topic: str, payload: bytes, what: str) -> None:
        """Hand `payload` to the broker, and wait until it has it; `what` it is, for the error."""
        info = self._client.publish(topic, payload, qos=1)
        try:
            info.wait_for_publish(limits.BROKER_S)
        except (RuntimeError, ValueError) as error:
            raise self._silent(f"does not take {what}") from error
        if not info.is_published():
            raise self._silent(f"does not take {what}")

    def messages(self, timeout_s: float) -> Iterator[Message]:
        """Messages as they come, for so long."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                yield self._inbox.get(timeout=left)
            except queue.Empty:
                return

    def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client.loop_stop()

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
        return UndoneError(
            f"the broker '{self._at}' {what}",
            code="broker.silent",
            hint="is that an MQTT broker, and a port of it without TLS?",
        )

    def _on_connect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self._events.put("refused" if reason.is_failure else "connected")

    def _on_subscribe(self, _c: Any, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        refused = any(reason.is_failure for reason in reasons)
        self._events.put("refused" if refused else "subscribed")

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if len(payload) <= self._most and not self._inbox.full():
            self._inbox.put(Message(message.topic, payload, bool(message.retain)))


@contextmanager
def connection(at: Broker, most: int) -> Iterator[Line]:
    """A connection to the broker; messages longer than `most` bytes are thrown away."""
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
    line = Line(client, at, most)
    line.open()
    try:
        yield line
    finally:
        line.close()
