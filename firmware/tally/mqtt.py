"""MQTT 3.1.1 by umqtt.simple (micropython-lib), without a call that can block for ever.

umqtt makes and reads the packets, over a Stream with a deadline. CONNECT is ours: umqtt's older versions know no login
and no last will. And where umqtt waits for an answer, it is called away: the answer comes by `poll`.

Rules
* What a broker sends is measured before it is held: a message longer than MAX_MESSAGE_BYTES is read past and handed on
  as empty, so that it can neither fill the memory nor block the messages behind it.
* What a broker may not send ends the connection, as OSError EINVAL.
"""

import errno

from umqtt.simple import MQTTClient

from tally.stream import Trouble, dial

_REFUSALS = ("", "the protocol", "the name", "", "the login", "this board")  # 3.2.2.3


class _Away(Exception):
    """umqtt has sent its packet and would now wait."""


class Session(MQTTClient):
    """One connection. hear(topic, data) is called with each message. sock: the Stream, None before `begin`."""

    def __init__(self, client_id, hear):
        # without umqtt's own constructor, which looks the broker up and may block
        self.client_id = client_id
        self.pid = 0
        self.cb = hear
        self.sock = None
        self._polled = False

    def begin(self, config, topic):
        """Connect; topic: of the state, whose last will is `lost`."""
        self.sock = dial(config["broker_host"], config["broker_port"], config["broker_tls"])
        user, password = config["broker_user"], config["broker_password"]
        flags = 0x02 | 0x04 | 0x08 | 0x20  # clean session, will, will QoS 1, will retained
        parts = [self.client_id, topic, "lost"]
        if user is not None:
            flags |= 0x80
            parts.append(user)
            if password is not None:
                flags |= 0x40
                parts.append(password)
        parts = [part.encode() for part in parts]
        length = 10 + sum([2 + len(part) for part in parts])
        head = bytearray(b"\x10")
        if length > 127:
            head.append(length & 127 | 128)
            length >>= 7
        head.append(length)
        head.extend(b"\x00\x04MQTT\x04")
        head.append(flags)
        head.extend(config["keepalive_s"].to_bytes(2, "big"))
        self.sock.write(head)
        for part in parts:
            self._send_str(part)
        self.sock.shake_hands(b"")
        self.sock.begin()
        answer = self.sock.read(4)
        if answer[:2] != b"\x20\x02":
            raise OSError(errno.EINVAL)
        if answer[3]:
            refused = _REFUSALS[answer[3]] if answer[3] < len(_REFUSALS) else ""
            state = "login" if refused else "no broker"
            raise Trouble(state, "the broker refuses %s" % (refused or "for now"))

    def say(self, method, *arguments):
        """What umqtt's method sends, in one packet, without its wait for the answer."""
        self.pid %= 65535  # umqtt lets it grow beyond 16 bits
        self.sock.begin()
        try:
            method(*arguments)
        except _Away:
            pass
        self.sock.flush()

    def submit(self, topic, data):
        """Publish with QoS 1 and return the packet id; PUBACK comes by `poll`."""
        self.say(self.publish, topic, data, False, 1)
        return self.pid

    def follow(self, topic):
        """Subscribe with QoS 1; SUBACK comes by `poll`."""
        self.say(self.subscribe, topic, 1)

    def wait_msg(self):
        if not self._polled:
            raise _Away
        return MQTTClient.wait_msg(self)

    def poll(self):
        """Take one packet: a message is handed on; the packet id of a PUBACK is returned, else None."""
        self.sock.begin()
        self._polled = True
        try:
            kind = self.wait_msg()
        finally:
            self._polled = False
        self.sock.flush()  # umqtt's PUBACK, if it was a message with QoS 1
        if kind is None:
            return None
        body = self.sock.read(self._recv_len())
        if kind == 0x90 and body[-1] == 0x80:
            raise Trouble("login", "the broker refuses a subscription")
        if kind not in (0x40, 0x90):
            raise OSError(errno.EINVAL)
        return int.from_bytes(body[:2], "big") if kind == 0x40 else None
