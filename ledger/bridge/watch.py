"""Embedded ledgers that the bridge follows: the newest checkpoint of each, as the broker retains it.

Only one that the ledger signed counts, and only the newest: it commits to all that came before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import checkpoint, topics
from tallystick.checkpoint import LEDGER_PREFIX, Checkpoint
from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick_ledger.bridge.outbox import Note
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.mqtt import Broker

__all__ = ["Watch", "followed"]

_KEEPALIVE_S: Final = 30

log = structlog.get_logger("bridge")


def followed(line: str) -> VerifierKey:
    """The verifier key of an embedded ledger; `LedgerError` if the line is none."""
    try:
        key = VerifierKey.parse(line)
        if not key.name.startswith(LEDGER_PREFIX) or len(_id(key)) != 8:
            raise ValueError
    except (TallystickError, ValueError):
        raise LedgerError(
            f"'{line[:80]}' is not the line of a ledger", hint="tally-ledger identity prints it"
        ) from None
    return key


class Watch:
    """Connected while entered; `newest` is asked by the poster's thread."""

    def __init__(self, broker: Broker, bridge: bytes, ledgers: Sequence[VerifierKey]) -> None:
        self._broker = broker
        self._keys = {topics.Ledger(_id(key)).checkpoint: key for key in ledgers}
        self._seen: dict[str, Checkpoint] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, f"bridge-{bridge.hex()}")
        if broker.user is not None:
            self._client.username_pw_set(broker.user, broker.password)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 10)

    def __enter__(self) -> Self:
        if self._keys:
            self._client.connect_async(self._broker.host, self._broker.port, _KEEPALIVE_S)
            self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._keys:
            self._client.disconnect()
            self._client.loop_stop()

    def newest(self) -> list[Note]:
        """The newest checkpoint of each ledger that was seen."""
        return [Note.of(note) for note in list(self._seen.values())]

    def _on_connect(self, client: paho.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            log.error("broker refuses the login", broker=str(self._broker), reason=str(reason))
            return
        client.subscribe([(topic, 1) for topic in self._keys])

    def _on_message(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        key = self._keys.get(message.topic)
        if key is None:
            return
        try:
            note = checkpoint.parse(bytes(message.payload))
            note.verify(key)
        except TallystickError as error:
            log.warning("checkpoint refused", topic=message.topic, reason=str(error))
            return
        known = self._seen.get(message.topic)
        if known is None or note.size > known.size:
            self._seen[message.topic] = note


def _id(key: VerifierKey) -> bytes:
    return bytes.fromhex(key.name.removeprefix(LEDGER_PREFIX))
