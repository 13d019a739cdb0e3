"""MQTT 3.1.1, as much of it as a board needs: one client, QoS 1 out, QoS 0 and 1 in, one subscription a packet.

Rules
* What a broker sends is measured before it is held: a message longer than MAX_MESSAGE_BYTES is read past and handed on
  as empty, so that it can neither fill the memory nor block the messages behind it.
* What a broker may not send ends the connection, as OSError EINVAL.
"""

import errno

from tally.stream import Trouble, dial

_REFUSALS = ("", "the protocol", "the name", "", "the login", "this board")  # 3.2.2.3


class Session:
    """One connection. hear(topic, data) is called with each message. sock: the Stream, None before `begin`."""

    def __init__(self, client_id, hear):
        self._client_id = client_id
        self._hear = hear
        self._pid = 0
        self.sock = None

    def begin(self, config, topic):
        """Connect; topic: of the state, whose last will is `lost`."""
        self.sock = dial(config["broker_host"], config["broker_port"], config["broker_tls"])
        user, password = config["broker_user"], config["broker_password"]
        flags = 0x02 | 0x04 | 0x08 | 0x20  # clean session, will, will QoS 1, will retained
        parts = [self._client_id, topic, "lost"]
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
        self.sock.shake_hands(_packet(0x10, body))
        self.sock.begin()
        answer = self.sock.read(4)
        if answer[:2] != b"\x20\x02":
            raise OSError(errno.EINVAL)
        if answer[3]:
            refused = _REFUSALS[answer[3]] if answer[3] < len(_REFUSALS) else ""
            state = "login" if refused else "no broker"
            raise Trouble(state, "the broker refuses %s" % (refused or "for now"))

    def send(self, kind, body):
        """Send one packet."""
        self.sock.begin()
        self.sock.write(_packet(kind, body))
        self.sock.flush()

    def _next_pid(self):
        self._pid = self._pid % 65535 + 1
        return self._pid

    def publish(self, topic, data):
        """Publish with QoS 1 and return the packet id; PUBACK comes by `poll`."""
        pid = self._next_pid()
        body = bytearray()
        _text(body, topic)
        body.extend(pid.to_bytes(2, "big"))
        body.extend(data)
        self.send(0x32, body)
        return pid

    def retain(self, topic, data):
        """Publish with QoS 0, retained."""
        body = bytearray()
        _text(body, topic)
        body.extend(data)
        self.send(0x31, body)

    def follow(self, topic):
        """Subscribe with QoS 1; SUBACK comes by `poll`."""
        body = bytearray(self._next_pid().to_bytes(2, "big"))
        _text(body, topic)
        body.append(1)
        self.send(0x82, body)

    def poll(self):
        """Take one packet: a message is handed on; the packet id of a PUBACK is returned, else None."""
        read = self.sock.read
        self.sock.begin()
        first = read(1)[0]
        length = shift = 0
        while True:
            piece = read(1)[0]
            length |= (piece & 127) << shift
            if piece < 128:
                break
            shift += 7
            if shift > 21:
                raise OSError(errno.EINVAL)
        kind = first & 0xF0
        if kind == 0x30:
            self._take(first & 6, length)
            return None
        body = read(length)
        if kind == 0x90 and body[-1] == 0x80:
            raise Trouble("login", "the broker refuses a subscription")
        if kind not in (0x40, 0x90, 0xD0):
            raise OSError(errno.EINVAL)
        return int.from_bytes(body[:2], "big") if kind == 0x40 else None

    def _take(self, qos, length):
        read = self.sock.read
        size = int.from_bytes(read(2), "big")
        topic = bytes(read(size))
        length -= 2 + size
        pid = None
        if qos:
            pid = read(2)
            length -= 2
        self._hear(topic, read(length))
        if qos:
            self.send(0x40, pid)


def _packet(kind, body):
    packet = bytearray([kind])
    length = len(body)
    while length > 127:
        packet.append(length & 127 | 128)
        length >>= 7
    packet.append(length)
    packet.extend(body)
    return packet


def _text(out, text):
    data = text if isinstance(text, (bytes, bytearray)) else text.encode()
    out.extend(len(data).to_bytes(2, "big"))
    out.extend(data)
