"""A node's connection to its broker.

* A persistent session with one fixed client id: the broker keeps submissions while the ledger is away.
* A submission is acknowledged by `Delivery.acknowledge`, which the writer calls after its commit and
  not before.
* Each connection is a client of its own. Nothing that was under way on an old one is sent again by
  itself, so that no old retained message overtakes a newer one; whoever sees `Ready` publishes what
  the database says.
* `Ready` comes after the retained milestone and grants, if the broker has them: the subscriptions are
  made in that order. What the broker had kept for us comes before all of them; it waits for `Ready`.

The inbox is bounded. When it is full the connection is not read, and the broker waits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from tallystick import topics
from tallystick_ledger.limits import INBOX_MESSAGES, OUTBOX_MESSAGES

__all__ = [
    "Asked",
    "Broker",
    "Delivery",
    "Event",
    "Granted",
    "Inbox",
    "Link",
    "Noted",
    "Ready",
    "Seen",
    "Shown",
    "Subscription",
    "Told",
    "following",
    "signing",
]

_KEEPALIVE_S: Final = 30
_CONNECT_S: Final = 5.0
_RETRY_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_JOIN_S: Final = 1.0

log = structlog.get_logger("mqtt")


@dataclass(frozen=True)
class Broker:
    """Where the broker is, and the login if it asks for one. `ca_file`: speak TLS, and believe
    certificates of this authority alone.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    ca_file: str | None = None

    def __repr__(self) -> str:
        return f"Broker({self.host}:{self.port})"


@dataclass(frozen=True)
class Delivery:
    """Submitted bytes. The broker keeps them until they are acknowledged (QoS 1)."""

    payload: bytes
    client: paho.Client
    mid: int
    qos: int

    def acknowledge(self) -> None:
        """Tell the broker that they are kept; if that connection has ended, they come again."""
        if self.qos:
            self.client.ack(self.mid, self.qos)


@dataclass(frozen=True)
class Shown:
    """Bytes that stand, or were published, on the ledger's own milestone topic."""

    payload: bytes


@dataclass(frozen=True)
class Granted:
    """Bytes that stand, or were published, as a gateway's grant."""

    payload: bytes


@dataclass(frozen=True)
class Noted:
    """Bytes that stand, or were published, as the ledger's newest checkpoint."""

    payload: bytes


@dataclass(frozen=True)
class Seen:
    """Bytes that were published as a block of the ledger."""

    payload: bytes


@dataclass(frozen=True)
class Asked:
    """Somebody asks for blocks from a position on."""

    payload: bytes


@dataclass(frozen=True)
class Told:
    """An answer to what we asked."""

    payload: bytes


@dataclass(frozen=True)
class Ready:
    """A new connection is up and subscribed."""


Event: TypeAlias = Delivery | Shown | Granted | Noted | Seen | Asked | Told | Ready
Inbox: TypeAlias = "queue.Queue[Event]"


@dataclass(frozen=True)
class Subscription:
    """A filter, and what a message becomes. `make` is None for submissions, which wait for `Ready` and want an
    acknowledgement. `refused`: what it means if the broker does not grant it; "" ends the connection.
    """

    topic: str
    make: Callable[[bytes], Event] | None
    refused: str = ""

    @property
    def qos(self) -> int:
        """A retained milestone must not wait behind submissions that are not acknowledged: those alone have 1."""
        return 1 if self.make is None else 0


def signing(names: topics.Ledger) -> list[Subscription]:
    """What the node that signs wants to hear; submissions last."""
    return [
        Subscription(topics.grants(), Granted, "anchors are taken unverified"),
        Subscription(names.milestone, Shown),
        Subscription(names.ask, Asked, "nobody can follow this ledger"),
        Subscription(names.submit, None),
    ]


def following(names: topics.Ledger, reply: bytes) -> list[Subscription]:
    """What a node that follows wants to hear."""
    return [
        Subscription(names.history(reply), Told),
        Subscription(names.blocks, Seen),
        Subscription(names.checkpoint, Noted, "checkpoints are not compared"),
        Subscription(names.milestone, Shown),
    ]


class Link:
    """Keeps one connection to the broker and puts what comes into `inbox`."""

    def __init__(
        self, broker: Broker, client_id: str, wanted: Sequence[Subscription], *, session: bool
    ) -> None:
        """`client_id` has at most 23 characters, which every MQTT 3.1.1 broker takes; `session`: the broker keeps
        messages while we are away.
        """
        self.inbox: Inbox = queue.Queue(INBOX_MESSAGES)
        self._broker = broker
        self._client_id = client_id
        self._wanted = wanted
        self._session = session
        self._stopping = threading.Event()
        self._gone = threading.Event()
        self._client: paho.Client | None = None
        self._early: list[Delivery] = []  # came before `Ready`; used by the connection's thread
        self._thread = threading.Thread(target=self._keep, name="mqtt", daemon=True)

    @classmethod
    def of_ledger(cls, broker: Broker, ledger: bytes) -> Link:
        """That of the one node that signs the milestones of `ledger`."""
        wanted = signing(topics.Ledger(ledger))
        return cls(broker, f"ledger-{ledger.hex()}", wanted, session=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._gone.set()
        self._thread.join(_JOIN_S)

    @property
    def connected(self) -> bool:
        """Is the connection up and subscribed?"""
        return self._client is not None

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False
    ) -> paho.MQTTMessageInfo | None:
        """Hand over a message, QoS 1. None without a connection, or with too much under way."""
        client = self._client
        if client is None:
            return None
        info = client.publish(topic, payload, qos=1, retain=retain)
        return info if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def _keep(self) -> None:
        """Connect, wait until the connection is gone, connect again."""
        attempt = 0
        while not self._stopping.is_set():
            self._gone.clear()
            self._early = []
            client = self._new_client()
            try:
                client.connect(self._broker.host, self._broker.port, _KEEPALIVE_S)
            except OSError as error:
                if attempt == 0:
                    log.warning("broker unreachable", broker=str(self._broker), reason=str(error))
            else:
                client.loop_start()
                self._gone.wait()
                if self._client is client:
                    attempt = 0
                self._client = None
                client.disconnect()
                client.loop_stop()
            self._stopping.wait(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            attempt += 1

    def _new_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            self._client_id,
            clean_session=not self._session,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _CONNECT_S
        client.max_queued_messages_set(OUTBOX_MESSAGES)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.ca_file is not None:
            client.tls_set(ca_certs=self._broker.ca_file)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _on_connect(self, client: paho.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            log.error("broker refuses the login", broker=str(self._broker), reason=str(reason))
            self._gone.set()
            return
        asked: dict[int, Subscription] = {}
        client.user_data_set(asked)
        for one in self._wanted:
            _, mid = client.subscribe(one.topic, one.qos)
            asked[mid or 0] = one

    def _on_subscribe(
        self, client: paho.Client, asked: Any, mid: int, reasons: Any, _: Any
    ) -> None:
        one: Subscription = asked[mid]
        if any(reason.is_failure for reason in reasons):
            if not one.refused:
                log.error("broker refuses a subscription", topic=one.topic)
                self._gone.set()
                return
            log.warning("broker refuses a subscription", topic=one.topic, therefore=one.refused)
        if one is self._wanted[-1]:
            self._client = client
            self._put(Ready())
            self._release()
            log.info("connected", broker=str(self._broker))

    def _on_message(self, client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        for one in self._wanted:
            if not paho.topic_matches_sub(one.topic, message.topic):
                continue
            if one.make is not None:
                return self._put(one.make(payload))
            delivery = Delivery(payload, client, message.mid, message.qos)
            if self._client is client:
                return self._put(delivery)
            self._early.append(delivery)
            return None if len(self._early) < INBOX_MESSAGES else self._release()
        return None

    def _on_disconnect(self, _: paho.Client, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        if not self._stopping.is_set():
            log.warning("disconnected", broker=str(self._broker), reason=str(reason))
        self._gone.set()

    def _release(self) -> None:
        early, self._early = self._early, []
        for delivery in early:
            self._put(delivery)

    def _put(self, event: Event) -> None:
        """Wait for room in the inbox; what the process drops as it ends comes again."""
        while not self._stopping.is_set():
            try:
                return self.inbox.put(event, timeout=0.2)
            except queue.Full:
                continue
        return None
