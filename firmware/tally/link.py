"""MQTT 3.1.1 over umqtt.simple, without a call that can block for ever.

Rules
* Every operation has a deadline: reading and writing go through `Stream`, which waits in pieces and gives up
  with ETIMEDOUT. A link in doubt is closed; the next one is tried after a growing, random pause.
* A packet leaves in one write: umqtt writes it in pieces, which costs 40 ms each time on a slow acknowledge.
* Records go out with QoS 1, at most WINDOW of them without PUBACK. A PUBACK says that the broker has the
  message, not that anyone keeps it: it frees a place in the window and deletes nothing.
* A message longer than MAX_MESSAGE_BYTES is read past and handed on as empty, so that it can neither fill the
  memory nor block the messages behind it.
"""

import errno
import select
import socket

from micropython import const
from umqtt.simple import MQTTClient, MQTTException

from tally import hal
from tally.message import MAX_MESSAGE_BYTES

WINDOW = const(4)
TIMEOUT_MS = const(10000)
PUBACK_MS = const(20000)
FIRST_PAUSE_MS = const(500)
LAST_PAUSE_MS = const(60000)
# umqtt asserts, indexes and unpacks what a broker sends; none of it may end the agent.
_BROKEN = (OSError, IndexError, ValueError, AssertionError, MQTTException)
_PREFIX = "tallystick/v1/"
_MAX_PACKET = const(1 << 20)  # read past, never held


class Stream:
    """A socket as umqtt sees it: read, write, close; `deadline` bounds what is under way."""

    def __init__(self, connected):
        self._socket = connected
        connected.setblocking(False)
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._out = bytearray()
        self.deadline = 0

    def begin(self):
        self.deadline = hal.ticks_add(hal.ticks_ms(), TIMEOUT_MS)

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

    def close(self):
        self._poll.unregister(self._socket)
        self._socket.close()


class Session(MQTTClient):
    """One connection. umqtt's packets, but for CONNECT (will, login) and QoS 1 (which waits in there)."""

    def begin(self, config, topic, callback):
        """Connect; topic: of the state, whose last will is `lost`."""
        self.cb = callback
        self.pid = 0
        address = socket.getaddrinfo(config["broker_host"], config["broker_port"])[0][-1]
        connected = socket.socket()
        try:
            connected.settimeout(TIMEOUT_MS // 1000)
            connected.connect(address)
            self.sock = Stream(connected)
        except OSError:
            connected.close()
            raise
        self.sock.begin()
        user, password = config["broker_user"], config["broker_password"]
        flags = 0x02 | 0x04 | 0x08 | 0x20  # clean session, will, will QoS 1, will retained
        parts = [self.client_id, topic, "lost"]
        if user is not None:
            flags |= 0x80
            parts.append(user)
            if password is not None:
                flags |= 0x40
                parts.append(password)
        body = bytearray(b"\x00\x04MQTT\x04")
        body.append(flags)
        body.extend(config["keepalive_s"].to_bytes(2, "big"))
        for part in parts:
            _text(body, part)
        self.send(0x10, body)
        answer = self.sock.read(4)
        if answer[:2] != b"\x20\x02" or answer[3]:
            raise OSError(errno.EACCES if answer[:2] == b"\x20\x02" else errno.EINVAL)

    def send(self, kind, body):
        """Send one packet."""
        packet = bytearray([kind])
        length = len(body)
        while length > 127:
            packet.append(length & 127 | 128)
            length >>= 7
        packet.append(length)
        packet.extend(body)
        self.sock.begin()
        self.sock.write(packet)
        self.sock.flush()

    def next_pid(self):
        self.pid = self.pid % 65535 + 1  # umqtt lets it grow beyond 16 bits
        return self.pid

    def publish_once(self, topic, data):
        """Publish with QoS 1 and return the packet id; PUBACK comes by `poll`."""
        pid = self.next_pid()
        body = bytearray()
        _text(body, topic)
        body.extend(pid.to_bytes(2, "big"))
        body.extend(data)
        self.send(0x32, body)
        return pid

    def follow(self, topic):
        """Subscribe with QoS 1; SUBACK comes by `poll`."""
        body = bytearray(self.next_pid().to_bytes(2, "big"))
        _text(body, topic)
        body.append(1)
        self.send(0x82, body)

    def poll(self):
        """Take one packet: a message goes to the callback; the packet id of a PUBACK is returned, else None."""
        self.sock.begin()
        kind = self.wait_msg()
        self.sock.flush()
        if kind is None:
            return None
        length = self._recv_len()
        body = self.sock.read(length)
        if kind == 0x90 and body[-1] == 0x80:
            raise OSError(errno.EACCES)
        return int.from_bytes(body[:2], "big") if kind == 0x40 else None


def _text(out, text):
    data = text if isinstance(text, (bytes, bytearray)) else text.encode()
    out.extend(len(data).to_bytes(2, "big"))
    out.extend(data)


class Link:
    """The way to the gateway.

    hear(topic, data) is called with each message; what it raises closes nothing. `sessions` counts connections.
    """

    def __init__(self, config, device, hear, log):
        self._config = config
        self._hear = hear
        self._log = log
        self._topic = _PREFIX + device
        self._device = device
        self._radio = None
        self._session = None
        self._pause = FIRST_PAUSE_MS
        self._again = hal.ticks_ms()
        self._sent = {}  # packet id: when
        self._heard = 0
        self._pinged = 0
        self.sessions = 0
        self.reason = None  # why there is no connection

    def connected(self):
        return self._session is not None

    def free(self):
        """Whether another record may be sent now."""
        return self._session is not None and len(self._sent) < WINDOW

    def poll(self):
        """Connect if it is time to, take what has arrived, keep the connection alive. Never raises."""
        try:
            if self._session is None:
                self._connect()
            else:
                self._serve()
        except _BROKEN as error:
            self._lost(error)

    def _connect(self):
        if hal.ticks_diff(hal.ticks_ms(), self._again) < 0:
            return
        if not self._online():
            self._later("no network")
            return
        session = Session(self._device, self._config["broker_host"], self._config["broker_port"])
        try:
            session.begin(self._config, self._topic + "/state", self._take)
        except OSError:
            if session.sock:
                session.sock.close()
            raise
        self._session = session
        self._sent.clear()
        self._heard = self._pinged = hal.ticks_ms()
        session.follow(self._topic + "/ack")
        session.follow(_PREFIX + "gateway/+/grant")
        self.state("ready")
        self._pause = FIRST_PAUSE_MS
        self.reason = None
        self.sessions += 1
        self._log("connected to %s" % self._config["broker_host"])

    def _online(self):
        """Whether the network is up; brings it up in the background."""
        ssid = self._config["wifi_ssid"]
        if self._radio is None:
            self._radio = hal.Radio()
        self._radio.on()
        if self._radio.connected():
            return True
        if ssid is not None:
            self._radio.join(ssid, self._config["wifi_password"])
        return False

    def _serve(self):
        session = self._session
        now = hal.ticks_ms()
        for _ in range(8):  # so that a flood cannot keep the board from measuring
            if not session.sock.ready():
                break
            pid = session.poll()
            self._heard = now
            if pid is not None:
                self._sent.pop(pid, None)
        keepalive = self._config["keepalive_s"] * 1000
        if hal.ticks_diff(now, self._heard) > keepalive * 3 // 2:
            raise OSError(errno.ETIMEDOUT)
        if hal.ticks_diff(now, self._pinged) > keepalive // 2:
            session.send(0xC0, b"")
            self._pinged = now
        for when in self._sent.values():
            if hal.ticks_diff(now, when) > PUBACK_MS:
                raise OSError(errno.ETIMEDOUT)

    def _take(self, topic, data):
        self._hear(topic, data)

    def publish(self, data):
        """Send one record. False if it must be tried again later."""
        if not self.free():
            return False
        try:
            pid = self._session.publish_once(self._topic + "/up", data)
        except OSError as error:
            self._lost(error)
            return False
        self._sent[pid] = hal.ticks_ms()
        return True

    def state(self, word):
        """Say how the board is: init, ready, sleeping or disconnected."""
        if self._session is not None:
            self._session.sock.begin()
            MQTTClient.publish(self._session, self._topic + "/state", word, True)
            self._session.sock.flush()

    def close(self):
        """Leave in order, so that the last will is not spoken."""
        if self._session is None:
            return
        try:
            self.state("disconnected")
            self._session.send(0xE0, b"")
        except OSError:
            self._log("the connection was lost at its end")
        self._session.sock.close()
        self._session = None

    def _lost(self, error):
        if self._session is not None:
            self._session.sock.close()
            self._session = None
        self._later("no connection, error %s" % (error.args[0] if error.args else "?"))

    def _later(self, reason):
        if reason != self.reason:
            self.reason = reason
            self._log(reason)
        jitter = (
            int.from_bytes(hal.urandom(2), "big") * self._pause >> 17
        )  # up to half of the pause
        self._again = hal.ticks_add(hal.ticks_ms(), self._pause + jitter)
        self._pause = min(2 * self._pause, LAST_PAUSE_MS)
