"""paho's client, with a buffer on either side of its socket, and a short way for what comes in thousands.

paho asks its socket three times for each message that comes and once for each packet that goes, wakes its
thread for each, and makes a table of MQTT 5 properties for each message and each PUBACK. Beside a
thread that computes, that is most of a message's cost. Here

1. what one `recv` brought is cut into packets at once; PUBLISH (QoS 0 and 1, properties are not read) and PUBACK
   are dealt with here, all else by paho;
2. the PUBACKs of a batch are one packet for paho, and all packets of one turn of the loop go out in one
   `send`;
3. the thread is woken once, not once for each packet.

It rests on names that paho keeps to itself: the version is pinned to 2.2.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.client import MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes

from tallystick_gateway import bounds

__all__ = ["BufferedClient"]

_RECEIVE: Final = 65_536
_SEND: Final = 262_144  # held before paho is told to wait
_CLOSE_WAIT_S: Final = 0.5
_PUBLISH: Final = PacketTypes.PUBLISH << 4
_PUBACK: Final = PacketTypes.PUBACK << 4
_LENGTH_BYTES: Final = 4  # of MQTT's variable-length integers

Received = Callable[[bytes, bytes, int, int, bool], None]


class _BufferedSocket:
    """What paho takes for a socket (its `SocketLike`, and `pending` as a TLS socket has it)."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._received = b""
        self._at = 0
        self._unsent = bytearray()

    def fill(self) -> bool:
        """Ask the network once; False if the other side has closed."""
        fresh = self._inner.recv(_RECEIVE)
        self._received, self._at = self._received[self._at :] + fresh, 0
        return bool(fresh)

    def packet(self) -> tuple[int, bytes] | None:
        """The next packet's first byte and what follows its length; None until all of it is there.
        `OSError` if it is longer than we told the broker to send.
        """
        at = self._at + 1
        length, after = _length(self._received, at)
        if after < 0:
            return None
        if length > bounds.PACKET_BYTES:
            raise OSError(f"a packet of {length} bytes")
        if len(self._received) < after + length:
            return None
        self._at = after + length
        return self._received[at - 1], self._received[after : self._at]

    def recv(self, _size: int) -> bytes:
        """Not used: `fill` and `packet` read."""
        raise BlockingIOError

    def pending(self) -> int:
        """Bytes that a TLS socket has read from the network and not handed out."""
        return self._inner.pending() if isinstance(self._inner, ssl.SSLSocket) else 0

    def send(self, data: bytes | bytearray) -> int:
        """Take `data`; `flush` sends it."""
        if len(self._unsent) > _SEND:
            self.flush()
            if len(self._unsent) > _SEND:
                raise BlockingIOError
        self._unsent += data
        return len(data)

    def flush(self) -> None:
        """Send what the network takes."""
        while self._unsent:
            try:
                sent = self._inner.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            del self._unsent[:sent]

    @property
    def unsent(self) -> bool:
        """Is anything left to flush?"""
        return bool(self._unsent)

    def close(self) -> None:
        """Close; the last packet (a DISCONNECT) still goes out if the network takes it."""
        try:
            self._inner.settimeout(_CLOSE_WAIT_S)
            self.flush()
        except OSError:
            pass
        finally:
            self._inner.close()

    def fileno(self) -> int:
        """For `select`."""
        return self._inner.fileno()

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""
        self._inner.setblocking(flag)


class BufferedClient(paho.Client):
    """paho's client; see the module's text. `received(topic, payload, qos, packet id, retained)` is
    called for each message, in paho's thread.
    """

    received: Received
    _woken = False

    def ack_all(self, mids: Sequence[int]) -> None:
        """The PUBACKs of these packet ids."""
        packets = b"".join([struct.pack("!BBH", _PUBACK, 2, mid) for mid in mids])
        if packets:
            self._packet_queue(_PUBACK, packets, 0, 1)

    def _create_socket(self) -> Any:
        self._woken = False
        return _BufferedSocket(super()._create_socket())  # type: ignore[arg-type]

    def _packet_queue(
        self,
        command: int,
        packet: bytes | bytearray,
        mid: int,
        qos: int,
        info: MQTTMessageInfo | None = None,
    ) -> MQTTErrorCode:
        self._out_packet.append(
            {
                "command": command,
                "mid": mid,
                "qos": qos,
                "pos": 0,
                "to_process": len(packet),
                "packet": packet,
                "info": info,
            }
        )
        if not self._woken and self._sockpairW is not None:
            self._woken = True
            with suppress(BlockingIOError):
                self._sockpairW.send(b"0")
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    # ---- what comes

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """All packets that one look at the network brings."""
        sock = self._sock
        if not isinstance(sock, _BufferedSocket):
            return super().loop_read(max_packets)
        try:
            if not sock.fill():
                return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
            with self._msgtime_mutex:
                self._last_bytes_received = time.monotonic()
            while (packet := sock.packet()) is not None:
                code = self._take(*packet)
                if code:
                    return self._loop_rc_handle(code)
                if self._sock is None:  # a DISCONNECT
                    break
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
        except MalformedPacket:
            return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_PROTOCOL)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _take(self, command: int, body: bytes) -> MQTTErrorCode:
        kind = command & 0xF0
        if kind == _PUBLISH and command & 6 < 4:
            self._publication(command, body)
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        if kind == _PUBACK:
            return self._confirmed(body)
        held = self._in_packet
        held["command"], held["packet"], held["pos"] = command, bytearray(body), 0
        held["remaining_length"] = len(body)
        return self._packet_handle()

    def _publication(self, command: int, body: bytes) -> None:
        qos = command >> 1 & 3
        at = 2 + int.from_bytes(body[:2], "big")
        topic, mid = body[2:at], 0
        if qos:
            mid = int.from_bytes(body[at : at + 2], "big")
            at += 2
        length, after = _length(body, at)
        if after < 0 or after + length > len(body):
            raise MalformedPacket("a PUBLISH that ends in its head")
        self.received(topic, body[after + length :], qos, mid, bool(command & 1))

    def _confirmed(self, body: bytes) -> MQTTErrorCode:
        with self._out_message_mutex:
            message = self._out_messages.pop(int.from_bytes(body[:2], "big"), None)
            if message is None:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            message.info._set_as_published()  # noqa: SLF001
            self._inflight_messages -= 1
            if len(self._out_messages) > self._inflight_messages:
                return self._update_inflight()
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    # ---- what goes

    def loop_write(self) -> MQTTErrorCode:
        """All packets, in one send."""
        self._woken = False  # before they are looked at: what comes later wakes us again
        code = super().loop_write()
        sock = self._sock
        if isinstance(sock, _BufferedSocket):
            try:
                sock.flush()
            except OSError:
                return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
        return code

    def want_write(self) -> bool:
        """Is there anything left to send?"""
        sock = self._sock
        return super().want_write() or (isinstance(sock, _BufferedSocket) and sock.unsent)


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer (MQTT 5, 1.5.5) and where it ends, -1 if the data ends first.
    `OSError` if it is longer than four bytes.
    """
    value = 0
    for digit in range(_LENGTH_BYTES):
        if at >= len(data):
            return 0, -1
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * digit)
        if byte < 0x80:
            return value, at
    raise OSError("a length of more than four bytes")
