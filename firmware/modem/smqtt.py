"""MQTT inside a SIM7000 (AT+SM...).

Rules
* 512 bytes are a payload's limit, and binary goes as hexadecimal digits: a record has 256 bytes at most.
* AT+SMPUB answers when the broker has the message: its OK is the PUBACK.
* A record that is longer was sealed for another way out. It is passed over: the gateway shows a gap, and asks for it
  again, until the board has that way again. Talk that is longer is not said.
* What arrives comes as it is, between quotes; nobody promises that this model hands on every byte value. If it does
  not, acknowledgements never verify and records stay on the board. See `strange` in modem/at.py.
"""

from binascii import hexlify

from micropython import const
from tally.stream import Trouble

from modem.at import AtError, Silent
from modem.inside import Inside, plain
from modem.uplink import SHORT_MESSAGE

_BEARER_MS = const(10000)
_CONNECT_MS = const(20000)
_FOLLOW_MS = const(5000)
_PUBLISH_MS = const(20000)


class Session(Inside):
    """One connection; see Inside."""

    def __init__(self, cell, hear):
        Inside.__init__(self, cell, hear)
        self._told = False
        self.at.unsolicited["+SMSTATE:"] = self._state
        self.at.quoted = (b"+SMSUB: ", self._message)

    def open(self, config, device, topic):
        """Connect and set the last will. Raises Trouble, AtError, Silent."""
        at = self.at
        if config["broker_tls"]:
            raise Trouble("no broker", "no TLS by this modem yet: set broker_tls 0")
        if at.ask("+CNACT?", "+CNACT:")[0].startswith("0"):
            apn = config["modem_args"].get("apn") or ""
            at.command('+CNACT=1,"%s"' % apn, _BEARER_MS, ends="+APP PDP:")
        self.leave()
        settings = (
            ("URL", '"%s","%d"' % (plain(config["broker_host"]), config["broker_port"])),
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
                word = plain(config[secret])
                try:
                    at.command('+SMCONF="%s","%s"' % (name, word))
                except (AtError, Silent) as error:
                    raise type(error)('+SMCONF="%s"' % name) from None  # without the secret
        at.command("+SMPUBHEX=1")
        try:
            at.command("+SMCONN", _CONNECT_MS)
        except AtError:
            raise Trouble("no broker", "the broker refuses, or is not there") from None

    def leave(self):
        """Leave the broker."""
        try:
            self.at.command("+SMDISC", 5000)
        except AtError:
            return  # there was no connection

    def follow(self, topic):
        """Subscribe with QoS 1. Raises AtError, Silent."""
        self.at.command('+SMSUB="%s",1' % topic, _FOLLOW_MS)

    def submit(self, topic, data):
        """Publish with QoS 1 and return a number; `poll` returns it when the broker has the message."""
        if len(data) <= SHORT_MESSAGE:
            self._send(topic, data, 1, False)
        elif not self._told:
            self._told = True
            print("# a record of %d bytes does not fit through this modem" % len(data))
        self.pid += 1
        self.acked = self.pid
        return self.pid

    def publish(self, topic, data, keep):
        """Publish with QoS 0. keep: retained."""
        if len(data) <= SHORT_MESSAGE:
            self._send(topic, data, 0, keep)

    def ask(self):
        if self.at.ask("+SMSTATE?", "+SMSTATE:")[0] == "0":
            self.gone = True

    def _send(self, topic, data, qos, keep):
        digits = hexlify(data)
        self.at.command(
            '+SMPUB="%s",%d,%d,%d' % (topic, len(digits), qos, keep), _PUBLISH_MS, data=digits
        )

    def _state(self, rest):
        self.gone = rest == "0"

    def _message(self, rest):
        """rest: "topic","payload", quotes included."""
        end = rest.find(b'","')
        if end > 0:
            self.came(rest[1:end], rest[end + 3 : -1])
