"""The door to the broker: a persistent session in which nothing is acknowledged before it is
durable.

* QoS 1, a client id that is the gateway's own, and no clean session: what comes while we are away
  waits at the broker.
* paho's `manual_ack`: the PUBACK for a message goes out when `Broker.acknowledge` is called, which the
  writer does after its commit. Whatever was not acknowledged comes again; the chain rules make
  that harmless.
* A full inbox holds the network thread, and with it the broker.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tallystick import limits
from tallystick_gateway import bounds
from tallystick_gateway.inbox import Inbox
from tallystick_gateway.wire import BufferedClient

__all__ = ["Broker", "Connected", "Inbound", "Login", "Subscribed"]

log = structlog.get_logger()

KEEPALIVE_S: Final = 30
RECONNECT_MAX_S: Final = 8
SESSION_EXPIRY_S: Final = 30 * 86_400
_FULL_WAIT_S: Final = 0.2
_STOP_WAIT_S: Final = 1.0
_OUT_IN_FLIGHT: Final = 200
_EVENT_BYTES: Final = 512  # of memory, besides the payload
_LARGEST: Final = limits.RECEIPT_BYTES  # of anything that we read


@dataclass(frozen=True)
class Login:
    """Where the broker is and who we are to it. The password is in no representation."""

    host: str
    port: int
    client_id: str
    user: str | None = None
    password: str | None = None
    ca_file: str | None = None

    def __repr__(self) -> str:
        return f"Login({self.host}:{self.port} as {self.client_id})"


class Inbound(NamedTuple):
    """A message as it came; `payload` is cut if `length` is above all that we read."""

    topic: str
    payload: bytes
    length: int
    qos: int
    mid: int
    retained: bool
    connection: int


@dataclass(frozen=True)
class Connected:
    """The broker has let us in."""


@dataclass(frozen=True)
class Subscribed:
    """The broker has answered our subscriptions."""


class Broker:
    """The connection. Everything that happens is put into `inbox`, in order."""

    def __init__(
        self,
        login: Login,
        filters: Sequence[str],
        will: tuple[str, bytes],
        maximum: int = bounds.INBOX_MESSAGES,
    ) -> None:
        self.inbox: Inbox[Inbound | Connected | Subscribed] = Inbox(maximum, bounds.INBOX_BYTES)
        self.is_connected = False
        self.dropped = 0
        self._login = login
        self._filters = filters
        self._connection = 0
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._client = BufferedClient(
            CallbackAPIVersion.VERSION2,
            client_id=login.client_id,
            protocol=paho.MQTTv5,
            manual_ack=True,
        )
        if login.user:
            self._client.username_pw_set(login.user, login.password)
        if login.ca_file:
            self._client.tls_set(ca_certs=login.ca_file)
        self._client.will_set(will[0], will[1], qos=1, retain=True)
        self._client.reconnect_delay_set(1, RECONNECT_MAX_S)
        self._client.max_inflight_messages_set(_OUT_IN_FLIGHT)
        self._client.max_queued_messages_set(bounds.OUTBOX_MESSAGES)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.received = self._on_message

    def start(self) -> None:
        """Connect, and connect again whenever it breaks, in a thread of its own."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        # stops a packet of 256 MB, which MQTT allows, from ever reaching our memory
        properties.MaximumPacketSize = bounds.PACKET_BYTES
        self._client.connect_async(
            self._login.host,
            self._login.port,
            keepalive=KEEPALIVE_S,
            clean_start=False,
            properties=properties,
        )
        self._client.loop_start()

    def stop(self) -> None:
        """Leave in good order; the session waits for us at the broker."""
        self._stopping.set()
        self._client.disconnect()
        # a connection attempt under way may take longer than we want to wait
        end = threading.Thread(target=self._client.loop_stop, daemon=True)
        end.start()
        end.join(_STOP_WAIT_S)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """QoS 1; False and nothing kept while there is no connection (the caller says it again after
        `Connected`), or if the broker takes nothing and too much waits for it already.
        """
        if not self.is_connected:
            return False
        return (
            self._client.publish(topic, payload, qos=1, retain=retain).rc == paho.MQTT_ERR_SUCCESS
        )

    def acknowledge(self, messages: Iterable[Inbound]) -> None:
        """The PUBACKs, if the connection still is the one that the messages came on: packet ids start
        anew with each session.
        """
        with self._guard:
            here = self._connection
            self._client.ack_all([m.mid for m in messages if m.qos and m.connection == here])

    # ---- callbacks, in paho's thread

    def _on_connect(self, _c: Any, _u: Any, _flags: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            log.error("the broker refuses us", reason=str(reason))
            return
        self._put(Connected())
        self.is_connected = True
        self._client.subscribe([(topic, 1) for topic in self._filters])
        log.info("connected", broker=f"{self._login.host}:{self._login.port}")

    def _on_disconnect(self, _c: Any, _u: Any, _flags: Any, reason: Any, _p: Any) -> None:
        self.is_connected = False
        with self._guard:
            self._connection += 1
        if not self._stopping.is_set():
            log.warning("connection lost", reason=str(reason))

    def _on_subscribe(self, _c: Any, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            # without them we are blind to our own past, so nothing is signed: see `writer`
            log.error("the broker refuses a subscription", reasons=refused, hint="check its ACL")
            return
        self._put(Subscribed())

    def _on_message(self, topic: bytes, payload: bytes, qos: int, mid: int, retained: bool) -> None:
        try:
            name = topic.decode()
        except UnicodeDecodeError:
            name = ""
        length = len(payload)
        most = limits.RECORD_BYTES if name.endswith("/up") else _LARGEST
        if length > most:
            payload = payload[:most]
        self._put(Inbound(name, payload, length, qos, mid, retained, self._connection))

    def _put(self, event: Inbound | Connected | Subscribed) -> None:
        size = len(event.payload) + _EVENT_BYTES if isinstance(event, Inbound) else _EVENT_BYTES
        while not self._stopping.is_set():
            try:
                self.inbox.put(event, size, _FULL_WAIT_S)
                return
            except queue.Full:
                # QoS 0 has no flow control, so it is the only thing that can be dropped, and may be
                if isinstance(event, Inbound) and event.qos == 0:
                    self.dropped += 1
                    return
