"""MQTT 3.1.1 by umqtt.simple (micropython-lib), without a call that can block for ever.

umqtt makes and reads the packets, over a Stream with a deadline. CONNECT is ours (tally/connect.py). And where umqtt
waits for an answer, it is called away: the answer comes by `poll`.

Rules
* What a broker sends is measured before it is held: a message longer than MAX_MESSAGE_BYTES is read past and handed on
  as empty, so that it can neither fill the memory nor block the messages behind it.
* What a broker may not send ends the connection, as OSError EINVAL.
"""

import errno

from umqtt.simple import MQTTClient

from tally.stream import Trouble


class _Away(Exception):
    """umqtt has sent its packet and would now wait."""


class Session(MQTTClient):
    """One connection. hear(topic, data) is called with each message. sock: its Stream. window: records without PUBACK
    at a time."""

    window = 4

    def __init__(self, sock, hear):
        # without umqtt's own constructor, which looks the broker up and may block
        self.pid = 0
        self.cb = hear
        self.sock = sock
        self._polled = False

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
