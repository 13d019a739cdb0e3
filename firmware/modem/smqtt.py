"""MQTT inside a SIM7000 (AT+SM...), with the interface of tally/mqtt.py's Session.

Rules
* 512 bytes are a payload's limit, and binary goes as hexadecimal digits: a record has 256 bytes at most.
* AT+SMPUB answers when the broker has the message: its OK is the PUBACK.
* What arrives comes as it is, between quotes; nobody promises that this model hands on every byte value. If it does
  not, acknowledgements never verify and records stay on the board.
"""

import errno
from binascii import hexlify

from micropython import const
from tally.stream import Trouble

from modem.at import AtError, Silent

_CONNECT_MS = const(20000)
_PUBLISH_MS = const(20000)


class Session:
    """One connection. hear(topic, data) is called with each message."""

    window = 1
    max_message = 256

    def __init__(self, cell, hear):
        self._at = cell.at
        self._hear = hear
        self._pid = 0
        self._acked = None
        self._lost = False
        self._at.unsolicited.clear()
        self._at.unsolicited["+SMSTATE:"] = self._state
        self._at.quoted = (b"+SMSUB: ", self._message)

    def open(self, config, device, topic):
        """Connect and set the last will. Raises Trouble, AtError, Silent."""
        at = self._at
        if config["broker_tls"]:
            raise Trouble("no broker", "no TLS by this modem yet: set broker_tls 0")
        if at.ask("+CNACT?", "+CNACT:")[0].startswith("0"):
            at.command(
                '+CNACT=1,"%s"' % (config["modem_args"].get("apn") or ""), 10000, ends="+APP PDP:"
            )
        try:
            at.command("+SMDISC", 5000)
        except AtError:
            pass  # there was no connection
        settings = (
            ("URL", '"%s","%d"' % (config["broker_host"], config["broker_port"] or 1883)),
            ("CLIENTID", '"%s"' % device),
            ("KEEPTIME", "%d" % config["keepalive_s"]),
            ("CLEANSS", "1"),
            ("TOPIC", '"%s/state"' % topic),
            ("MESSAGE", '"lost"'),
            ("RETAIN", "1"),
        )
        for name, value in settings:
            at.command('+SMCONF="%s",%s' % (name, value))
        for name, secret in (("USERNAME", "broker_user"), ("PASSWORD", "broker_password")):
            if config[secret] is not None:
                try:
                    at.command('+SMCONF="%s","%s"' % (name, config[secret]))
                except (AtError, Silent) as error:
                    raise type(error)('+SMCONF="%s"' % name) from None  # without the secret
        at.command("+SMPUBHEX=1")
        try:
            at.command("+SMCONN", _CONNECT_MS)
        except AtError:
            raise Trouble("no broker", "the broker refuses, or is not there") from None

    def follow(self, topic):
        self._at.command('+SMSUB="%s",1' % topic, 10000)

    def leave(self):
        self._at.command("+SMDISC", 5000)

    def close(self):
        self._at.unsolicited.clear()
        self._at.quoted = None

    def ready(self):
        """Whether something has come."""
        self._at.poll()
        return self._lost or self._acked is not None

    def poll(self):
        """The number of the message that the broker has now, else None. OSError where the connection is gone."""
        if self._lost:
            raise OSError(errno.ECONNRESET)
        acked = self._acked
        self._acked = None
        return acked

    def submit(self, topic, data):
        """Publish with QoS 1 and return a number; `poll` returns it when the broker has the message."""
        self._send(topic, data, 1, False)
        self._pid += 1
        self._acked = self._pid
        return self._pid

    def tell(self, topic, data, keep):
        self._send(topic, data, 0, keep)

    def ping(self):
        """The modem keeps the connection alive; whether it still does is asked."""
        if self._at.ask("+SMSTATE?", "+SMSTATE:")[0] == "0":
            self._lost = True

    def _send(self, topic, data, qos, keep):
        digits = hexlify(data)
        try:
            self._at.command(
                '+SMPUB="%s",%d,%d,%d' % (topic, len(digits), qos, keep), _PUBLISH_MS, data=digits
            )
        except (AtError, Silent):
            raise OSError(errno.EIO) from None

    def _state(self, rest):
        self._lost = rest == "0"

    def _message(self, rest):
        """rest: "topic","payload", quotes included."""
        end = rest.find(b'","')
        if end > 0:
            self._hear(rest[1:end], rest[end + 3 : -1])
