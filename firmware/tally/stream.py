"""A connection to the broker: read, write, close; plain, or in TLS. tally/connect.py makes one.

Rules
* Nothing waits for ever: reading and writing wait in pieces, and give up at `deadline` with ETIMEDOUT. So does the
  handshake of TLS, which is part of the first write.
* A packet leaves in one write: in pieces it would cost 40 ms each time on a slow acknowledge.
"""

import errno
import select

from micropython import const

from tally import hal

MAX_MESSAGE_BYTES = const(1024)
TIMEOUT_MS = const(10000)
_DRAINS = const(16)
_DRAIN_MS = const(250)
_MAX_PACKET = const(1 << 20)  # read past, never held


class Trouble(Exception):
    """Why there is no connection. args: state (a word of `led.PATTERNS`), text."""


class Stream:
    """A socket that does not block; `deadline` bounds what is under way. under: the socket that carries TLS."""

    def __init__(self, connected, under=None):
        self._socket = connected
        self.under = under
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._out = bytearray()
        self.deadline = 0

    def begin(self, patience=TIMEOUT_MS):
        self.deadline = hal.ticks_add(hal.ticks_ms(), patience)

    def ready(self):
        """Whether there is something to read now (or the end)."""
        return bool(self._poll.poll(0))

    def setblocking(self, flag):
        """umqtt switches blocking on in the middle of things; here a deadline holds instead."""

    def _wait(self, event):
        self._poll.modify(self._socket, event)
        try:
            while not self._poll.poll(100):
                if hal.ticks_diff(self.deadline, hal.ticks_ms()) < 0:
                    raise OSError(errno.ETIMEDOUT)
        finally:
            self._poll.modify(self._socket, select.POLLIN)

    def read(self, length):
        """Exactly `length` bytes, or b"" of a message that is too long (which is then gone)."""
        keep = length <= MAX_MESSAGE_BYTES
        if not 0 <= length <= _MAX_PACKET:
            raise OSError(errno.EINVAL)
        self.flush()
        out = bytearray()
        while length:
            self._wait(select.POLLIN)
            piece = self._socket.read(min(length, 256))
            if piece is None:
                continue
            if not piece:
                raise OSError(errno.ECONNRESET)
            length -= len(piece)
            if keep:
                out.extend(piece)
        return out

    def write(self, data, length=None):
        self._out.extend(data if length is None else data[:length])

    def flush(self):
        """Send what was written, as one packet."""
        view = memoryview(self._out)
        at = 0
        while at < len(view):
            self._wait(select.POLLOUT)
            sent = self._socket.write(view[at:])
            at += sent or 0
        if at:
            self._out = bytearray()

    def drain(self):
        """After a last word: read until the other side has closed. A socket that is closed with something unread resets
        the connection, and what was said last would be thrown away over there.
        """
        for _ in range(_DRAINS):
            if not self._poll.poll(_DRAIN_MS) or self._socket.read(256) == b"":
                break

    def close(self):
        self._poll.unregister(self._socket)
        for one in (self._socket, self.under):
            if one is not None:
                try:
                    one.close()
                except OSError:
                    continue  # it is gone, which is what was wanted
