"""The way to the broker: connects, keeps the connection, tries again. Nothing in it can block for ever.

Rules
* Every operation has a deadline (tally/stream.py). A link in doubt is closed; the next one is tried after a growing,
  random pause (tally/connect.py).
* Records go out with QoS 1, at most `window` (of the session) of them without PUBACK. A PUBACK says that the broker has
  the message, not that anyone keeps it: it frees a place in the window and deletes nothing.
"""

import errno

from micropython import const

from tally import hal, once, unload
from tally.stream import Trouble

_PUBACK_MS = const(20000)
_FIRST_PAUSE_MS = const(500)
_LAST_PAUSE_MS = const(60000)
_BROKEN = (
    Trouble,
    OSError,
    ValueError,
    IndexError,
)  # the last two: TLS, and packets that are too short
PREFIX = "tallystick/v1/"


class Link:
    """The way to the gateway.

    hear(topic, data) is called with each message; what it raises closes nothing. sessions: count of connections.
    reason, trouble: why there is no connection, as a text and as a word of `led.PATTERNS`; None while there is one.
    online: whether the network is up. heard: packets that came. max_message: bytes that a record may have.
    """

    def __init__(self, config, clock, device, hear, log):
        self._config = config
        self._clock = clock
        self._hear = hear
        self._log = log
        self._topic = PREFIX + device
        self._device = device
        self._session = None
        self._failures = 0  # attempts in a row without a network
        self._pause = _FIRST_PAUSE_MS
        self._again = hal.ticks_ms()
        self._sent = {}  # packet id: when
        self._heard = 0
        self._pinged = 0
        from tally.uplink import uplink

        self.max_message = min(uplink(config).max_message, config["max_message"])
        unload("uplink")
        self.online = False
        self.sessions = 0
        self.heard = 0
        self.reason = None
        self.trouble = None

    def connected(self):
        return self._session is not None

    def free(self):
        """Whether another record may be sent now."""
        return self._session is not None and len(self._sent) < self._session.window

    def idle(self):
        """Whether the broker has taken all that was sent."""
        return not self._sent

    def poll(self):
        """Connect if it is time to, take what has arrived, keep the connection alive. Never raises."""
        try:
            if self._session is None:
                self._connect()
            else:
                self._serve()
        except Trouble as error:
            self._lost(*error.args)
        except _BROKEN as error:
            self._lost("no broker", "no connection, error %s" % _short(error))

    def _connect(self):
        if hal.ticks_diff(hal.ticks_ms(), self._again) < 0:
            return
        try:
            why = once("uplink", "up", self._config, self._failures)
        except OSError as error:
            why = "no network, error %s" % _short(error)
        self.online = why is None
        self._failures = 0 if self.online else self._failures + 1
        if why is not None:
            raise Trouble("no network", why)
        self._session = once(
            "connect", "attempt", self._config, self._clock, self._device, self._hear
        )
        self._sent.clear()
        self._heard = self._pinged = hal.ticks_ms()
        self._pause = _FIRST_PAUSE_MS
        self.reason = self.trouble = None
        self.sessions += 1
        self.heard += 1
        self._log("connected to %s" % self._config["broker_host"])

    def _serve(self):
        session = self._session
        now = hal.ticks_ms()
        for _ in range(8):  # so that a flood cannot keep the board from measuring
            if not session.sock.ready():
                break
            pid = session.poll()
            self._heard = now
            self.heard += 1
            if pid is None:
                break  # a message, perhaps: one at a time
            self._sent.pop(pid, None)
        keepalive = self._config["keepalive_s"] * 1000
        if hal.ticks_diff(now, self._heard) > keepalive * 3 // 2:
            raise OSError(errno.ETIMEDOUT)
        if hal.ticks_diff(now, self._pinged) > keepalive // 2:
            session.say(session.ping)
            self._pinged = now
        for when in self._sent.values():
            if hal.ticks_diff(now, when) > _PUBACK_MS:
                raise OSError(errno.ETIMEDOUT)

    def publish(self, data):
        """Send one record. False if it must be tried again later."""
        if not self.free():
            return False
        try:
            pid = self._session.submit(self._topic + "/up", data)
        except _BROKEN as error:
            self._lost("no broker", "no connection, error %s" % _short(error))
            return False
        self._sent[pid] = hal.ticks_ms()
        return True

    def tell(self, leaf, text, keep=False):
        """Say something about this board; keep: retained. Raises what a broken connection raises.

        /state: init, ready, sleeping or disconnected."""
        session = self._session
        if session is not None:
            session.say(session.publish, self._topic + leaf, text.encode(), keep)

    def close(self, word="disconnected"):
        """Leave in order, so that the last will is not spoken."""
        if self._session is None:
            return
        try:
            self.tell("/state", word, True)
            self._session.say(self._session.sock.write, b"\xe0\x00")  # DISCONNECT
            self._session.sock.drain()
        except _BROKEN:
            self._log("the connection was lost at its end")
        self._session.sock.close()
        self._session = None

    def _lost(self, trouble, reason):
        if self._session is not None:
            self._session.sock.close()
            self._session = None
        self._later(trouble, reason)

    def _later(self, trouble, reason):
        self.trouble = trouble
        if reason != self.reason:
            self.reason = reason
            self._log(reason)
        jitter = (
            int.from_bytes(hal.urandom(2), "big") * self._pause >> 17
        )  # up to half of the pause
        self._again = hal.ticks_add(hal.ticks_ms(), self._pause + jitter)
        self._pause = min(2 * self._pause, _LAST_PAUSE_MS)


def _short(error):
    return error.args[0] if error.args else "?"
