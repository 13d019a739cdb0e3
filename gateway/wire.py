"""paho's client, with a buffer on either side of its socket.

paho asks its socket three times for each message that comes, and once for each packet that goes, and
each time the interpreter's lock changes hands: beside a thread that computes, that is most of a
message's cost. Here a message costs a slice of what one `recv` brought, and all packets of one turn of the
loop go out in one `send`.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

__all__ = ["BufferedClient"]

_RECEIVE: Final = 65_536
_SEND: Final = 262_144  # held before paho is told to wait
_CLOSE_WAIT_S: Final = 0.5


class _BufferedSocket:
    """What paho takes for a socket (its `SocketLike`, and `pending` as a TLS socket has it)."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._received = b""
        self._at = 0
        self._unsent = bytearray()

    def recv(self, size: int) -> bytes:
        """At most `size` bytes; asks the network only when nothing is left."""
        if self._at == len(self._received):
            self._received, self._at = self._inner.recv(_RECEIVE), 0
        data = self._received[self._at : self._at + size]
        self._at += len(data)
        return data

    def pending(self) -> int:
        """Bytes that can be had without asking the network."""
        held = len(self._received) - self._at
        if not held and isinstance(self._inner, ssl.SSLSocket):
            return self._inner.pending()
        return held

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
    """paho's client; see the module's text."""

    def _create_socket(self) -> Any:
        return _BufferedSocket(super()._create_socket())  # type: ignore[arg-type]

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """All packets that are there, not one."""
        while True:
            code = super().loop_read(max_packets)
            sock = self._sock
            if code or not isinstance(sock, _BufferedSocket) or not sock.pending():
                return code

    def loop_write(self) -> MQTTErrorCode:
        """All packets, in one send."""
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
