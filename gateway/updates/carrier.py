"""Takes updates in over MQTT, offers them to boards, and answers what boards ask for. A connection of its own: records
never wait for an update.

* `gateway/<gw>/update`: SHA-256 of the file, its size, an offset, the bytes there; without bytes, the question how
  much is here. Answered on `.../answer`.
* `gateway/<gw>/update/offer`: JSON {update, devices}: the manifest goes to each of these devices, retained. update null
  takes back what was offered; devices "all": every device that is enrolled now.
* `<id>/update/want`: answered on `<id>/update/part`, to devices that are enrolled. Not acknowledged: a board that
  gets no answer asks again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, Final

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tallystick import topics, update
from tallystick.errors import FormatError, TallystickError
from tallystick_gateway import bounds
from tallystick_gateway.mqtt import Login
from tallystick_gateway.updates.folder import UpdateFolder

__all__ = ["Carrier"]

log = structlog.get_logger()

_KEEPALIVE_S: Final = 30
_RECONNECT_MAX_S: Final = 8
_HEAD: Final = 40  # of a piece


class Carrier:
    """`start`, then `stop`. `devices` gives who is enrolled now."""

    def __init__(
        self,
        login: Login,
        gateway: bytes,
        folder: UpdateFolder,
        devices: Callable[[], Collection[bytes]],
    ) -> None:
        self._login, self._folder, self._devices = login, folder, devices
        self._topics = topics.Gateway(gateway)
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=login.client_id, protocol=paho.MQTTv5
        )
        if login.user:
            client.username_pw_set(login.user, login.password)
        if login.ca_file:
            client.tls_set(ca_certs=login.ca_file)
        client.reconnect_delay_set(1, _RECONNECT_MAX_S)
        client.max_queued_messages_set(bounds.OUTBOX_MESSAGES)
        client.on_connect, client.on_message = self._on_connect, self._on_message
        client.on_subscribe = self._on_subscribe

    def start(self) -> None:
        """Connect, and connect again whenever it breaks, in a thread of its own."""
        self._folder.load()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        # stops a packet of 256 MB, which MQTT allows, from ever reaching our memory
        properties.MaximumPacketSize = bounds.PACKET_BYTES
        self._client.connect_async(
            self._login.host, self._login.port, keepalive=_KEEPALIVE_S, properties=properties
        )
        self._client.loop_start()

    def stop(self) -> None:
        """Leave in good order."""
        self._client.disconnect()
        self._client.loop_stop()

    # ---- callbacks, in paho's thread

    def _on_connect(self, client: paho.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            log.error("the broker refuses the carrier of updates", reason=str(reason))
            return
        wanted = (self._topics.update, self._topics.offer, topics.wants())
        client.subscribe([(topic, 1) for topic in wanted])

    def _on_subscribe(self, _c: Any, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            log.error("no updates: the broker refuses a subscription", hint="check its ACL")

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        payload = bytes(message.payload)
        if topic == self._topics.update:
            self._tell(self._piece(payload))
        elif topic == self._topics.offer:
            self._tell(self._offer(payload))
        else:
            self._want(topic, payload)

    def _piece(self, payload: bytes) -> dict[str, object]:
        if len(payload) < _HEAD:
            return _refused(None, FormatError("update.shape", "no piece of an update"))
        id, size = payload[:32], int.from_bytes(payload[32:36], "big")
        offset = int.from_bytes(payload[36:_HEAD], "big")
        try:
            have = self._folder.take(id, size, offset, payload[_HEAD:])
        except TallystickError as error:
            log.warning("an update is refused", code=error.code, detail=error.detail)
            return _refused(id, error)
        except OSError as error:
            log.error("an update could not be kept", reason=str(error))
            return _refused(id, FormatError("update.storage", "the gateway cannot keep it"))
        kept = self._folder.get(id)
        if kept is not None and payload[_HEAD:]:
            log.info("update kept", counter=kept.manifest.counter, version=kept.manifest.version)
        return {"update": id.hex(), "have": have, "size": size, "kept": kept is not None}

    def _offer(self, payload: bytes) -> dict[str, object]:
        try:
            said = json.loads(payload[: bounds.OFFER_BYTES])
            named = said["update"]
            id = None if named is None else bytes.fromhex(named)
            listed = said["devices"]
            enrolled = self._devices()
            wanted = enrolled if listed == "all" else [bytes.fromhex(one) for one in listed]
        except (ValueError, TypeError, KeyError, RecursionError):
            return _refused(None, FormatError("update.shape", "no offer"))
        kept = None if id is None else self._folder.get(id)
        if id is not None and kept is None:
            return _refused(id, FormatError("update.unknown", "this update is not here"))
        raw = b"" if kept is None else kept.manifest.signed.raw
        offered = [device for device in wanted if device in enrolled]
        for device in offered:
            self._client.publish(topics.Device(device).update, raw, qos=1, retain=True)
        log.info("update offered", update=named, devices=len(offered))
        return {
            "update": named,
            "offered": [one.hex() for one in offered],
            "unknown": [one.hex() for one in wanted if one not in enrolled],
        }

    def _want(self, topic: str, payload: bytes) -> None:
        try:
            device, _ = topics.parse_device(topic)
            want = update.parse_want(payload)
        except TallystickError:
            return
        if device not in self._devices():
            return
        part = self._folder.answer(want)
        if part is None:
            log.warning("a board asks for what is not here", device=device.hex())
            return
        self._client.publish(topics.Device(device).part, part)

    def _tell(self, answer: dict[str, object]) -> None:
        self._client.publish(self._topics.update_answer, json.dumps(answer), qos=1)


def _refused(id: bytes | None, error: TallystickError) -> dict[str, object]:
    named = None if id is None else id.hex()
    return {"update": named, "code": error.code, "detail": error.detail[: bounds.DETAIL_CHARACTERS]}
