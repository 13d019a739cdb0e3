"""The MQTT client inside the modem. Events come on a thread of its own and wait in `events`."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode


@dataclass(frozen=True)
class Event:
    """What happened: `connected`, `lost`, `published`, `subscribed` or `message`."""

    kind: str
    code: int = 0  # MQTT 3.1.1's return code; the number of a publication
    topic: str = ""
    payload: bytes = b""


class Client:
    """One connection. wake(): called when an event waits."""

    def __init__(self, name: str, wake: Callable[[], None]) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._wake = wake
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._lost
        self._client.on_publish = self._published
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._message
        self._open = False
        self.no_handshake = False  # why `connect` said False

    def secure(self, authority: bytes | None) -> None:
        """Speak TLS. authority: PEM of whom the broker's certificate must come from, None: anybody. Raises SSLError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if authority is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            try:
                context.load_verify_locations(cadata=authority.decode())
            except ValueError as error:
                raise ssl.SSLError(str(error)) from error
        self._client.tls_set_context(context)

    def login(self, user: str, password: str | None) -> None:
        """What CONNECT says of who this is."""
        self._client.username_pw_set(user, password)

    def will(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """What the broker says when this client is gone."""
        self._client.will_set(topic, payload, qos=qos, retain=retain)

    def connect(self, host: str, port: int, keepalive_s: int) -> bool:
        """Begin to connect; False where nobody listens."""
        self._client.reconnect_delay_set(3600, 3600)  # a modem does not come back by itself
        try:
            self._client.connect(host, port, keepalive_s)
        except OSError as error:
            self.no_handshake = isinstance(error, ssl.SSLError)
            return False
        self._open = True
        self._client.loop_start()
        return True

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> int:
        """Send; `published` with this number comes when the broker has it."""
        return self._client.publish(topic, payload, qos=qos, retain=retain).mid

    def subscribe(self, topic: str, qos: int) -> None:
        """Ask for a topic; `subscribed` comes."""
        self._client.subscribe(topic, qos)

    def close(self, *, orderly: bool) -> None:
        """With DISCONNECT, or as a modem goes that loses its power."""
        if not self._open:
            return
        self._open = False
        if orderly:
            self._client.disconnect()
        else:
            sock = self._client.socket()
            if sock is not None:
                sock.close()
        self._client.loop_stop()

    def _put(self, event: Event) -> None:
        if self._open or event.kind == "connected":
            self.events.put(event)
            self._wake()

    def _connected(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        # paho names what MQTT 3.1.1 numbers (3.2.2.3)
        numbers = {"Success": 0, "Bad user name or password": 4, "Not authorized": 5}
        self._put(Event("connected", numbers.get(str(code), 3)))

    def _lost(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.DisconnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._put(Event("lost"))

    def _published(
        self,
        client: mqtt.Client,
        userdata: object,
        number: int,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._put(Event("published", number))

    def _subscribed(
        self,
        client: mqtt.Client,
        userdata: object,
        number: int,
        codes: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        self._put(Event("subscribed", 0))

    def _message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        self._put(Event("message", 0, message.topic, message.payload))
