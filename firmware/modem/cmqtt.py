"""MQTT inside a SIM7600 or A7670 (AT+CMQTT...).

Rules
* A command that says its outcome later (`+CMQTTCONNECT: 0,0`) is waited for when a connection begins, and comes as an
  unsolicited line for a publication: that is the PUBACK.
* One message at a time: the modem has one place for a topic and one for a payload.
* Records are no UTF-8: checkUTF8 is switched off for the client, each time, for it is forgotten with it.
* A message that is longer than any that a board is sent is not held, and handed on as empty, as tally/mqtt.py does.
* TLS is the modem's own, told to verify: by default it checks nothing. The CA is that of `set ca`, the name is that of
  `broker_host`; the dates are checked, for which the modem's clock is set by the board's where no network has. What the
  modem makes of that is its word alone.
"""

import errno
from time import gmtime

from micropython import const
from tally import hal
from tally.stream import MAX_MESSAGE_BYTES, Trouble

from modem.at import AtError, Silent
from modem.inside import Inside, plain

_START_MS = const(12000)
_CONNECT_MS = const(20000)
_FOLLOW_MS = const(5000)
_PUBLISH_S = const(20)
_CA = "tally.pem"
_REFUSED = {"27": "the protocol", "28": "the name", "30": "the login", "31": "this board"}
_TLS_TROUBLE = ("32", "33")  # handshake, certificate
_TLS = (
    '="sslversion",0,4',
    '="authmode",0,1',
    '="cacert",0,"%s"' % _CA,
    '="enableSNI",0,1',
    '="ignorelocaltime",0,0',
)


class Session(Inside):
    """One connection; see Inside."""

    def __init__(self, cell, hear):
        Inside.__init__(self, cell, hear)
        self._sent = []  # numbers of what the broker has not confirmed; 0 for what nobody waits for
        self._topic = self._data = b""
        at = self.at.unsolicited
        at["+CMQTTRXSTART:"] = self._start
        at["+CMQTTRXTOPIC:"] = self._topic_follows
        at["+CMQTTRXPAYLOAD:"] = self._data_follows
        at["+CMQTTRXEND:"] = self._end
        at["+CMQTTPUB:"] = self._published
        at["+CMQTTCONNLOST:"] = at["+CMQTTNONET"] = self._ended

    # -- begin and end -------------------------------------------------------------------------

    def open(self, config, device, topic):
        """Connect and set the last will. Raises Trouble, AtError, Silent."""
        at = self.at
        self.leave()
        secure = config["broker_tls"]
        if secure:
            self._authority()
        try:
            code = at.command("+CMQTTSTART", _START_MS, ends="+CMQTTSTART:")[-1]
        except AtError:
            code = (
                "23"  # it runs already, say some by ERROR; if it does not, the next command fails
            )
        if code not in ("0", "23"):
            raise Trouble("no network", "the modem has no way out, code %s" % code)
        at.command('+CMQTTACCQ=0,"%s",%d' % (device, secure))
        if secure:
            at.command("+CMQTTSSLCFG=0,0")
        at.command('+CMQTTCFG="checkUTF8",0,0')
        state = topic + "/state"
        at.command("+CMQTTWILLTOPIC=0,%d" % len(state), data=state.encode())
        at.command("+CMQTTWILLMSG=0,4,1", data=b"lost")
        where = '+CMQTTCONNECT=0,"tcp://%s:%d",%d,1' % (
            plain(config["broker_host"]),
            config["broker_port"],
            config["keepalive_s"],
        )
        for secret in ("broker_user", "broker_password"):
            if config[secret] is not None:
                where += ',"%s"' % plain(config[secret])
        try:
            code = at.command(where, _CONNECT_MS, ends="+CMQTTCONNECT:")[-1].split(",")[-1]
        except (AtError, Silent) as error:
            # what the modem would not take holds a password
            raise type(error)("+CMQTTCONNECT") from None
        if code == "0":
            return
        if code in _TLS_TROUBLE:
            raise Trouble("certificate", "no TLS with this broker: the modem's code %s" % code)
        refused = _REFUSED.get(code)
        text = "the broker refuses %s" % refused if refused else "the modem's code %s" % code
        raise Trouble("login" if refused else "no broker", text)

    def _authority(self):
        """Give the modem the CA, and tell it to verify. Raises Trouble, AtError, Silent."""
        from binascii import b2a_base64

        from tally.authority import MAX_BYTES, PATH

        try:
            with open(PATH, "rb") as file:
                body = b2a_base64(file.read(MAX_BYTES)).strip()
        except OSError:
            raise Trouble("certificate", "no CA certificate: set ca <hex>") from None
        lines = [body[at : at + 64] for at in range(0, len(body), 64)]
        pem = b"\n".join(
            [b"-----BEGIN CERTIFICATE-----"] + lines + [b"-----END CERTIFICATE-----", b""]
        )
        self._set_clock()
        self.at.command('+CCERTDOWN="%s",%d' % (_CA, len(pem)), 5000, data=pem)
        for text in _TLS:
            self.at.command("+CSSLCFG" + text)

    def _set_clock(self):
        """A certificate has dates. Raises AtError, Silent."""
        now = hal.unix_time()
        if now is not None and self._cell.time() is None:
            year, month, day, hours, minutes, seconds = gmtime(now - hal.EPOCH)[:6]
            told = (year % 100, month, day, hours, minutes, seconds)
            self.at.command('+CCLK="%02d/%02d/%02d,%02d:%02d:%02d+00"' % told)

    def leave(self):
        """Leave the broker, and give back what an earlier start of the board may have left in the modem."""
        for text, ends in (("DISC=0,60", "+CMQTTDISC:"), ("REL=0", None), ("STOP", "+CMQTTSTOP:")):
            try:
                self.at.command("+CMQTT" + text, 5000, ends=ends)
            except AtError:
                continue  # there was nothing

    def follow(self, topic):
        """Subscribe with QoS 1. Raises Trouble, AtError, Silent."""
        code = self.at.command(
            "+CMQTTSUB=0,%d,1" % len(topic), _FOLLOW_MS, ends="+CMQTTSUB:", data=topic.encode()
        )[-1].split(",")[-1]
        if code != "0":
            raise Trouble("login", "the broker refuses a subscription, code %s" % code)

    # -- messages ------------------------------------------------------------------------------

    def submit(self, topic, data):
        """Publish with QoS 1 and return a number; `poll` returns it when the broker has the message."""
        self.pid += 1
        self._send(self.pid, topic, data, 1, False)
        return self.pid

    def publish(self, topic, data, keep):
        """Publish with QoS 0. keep: retained."""
        self._send(0, topic, data, 0, keep)

    def ask(self):
        """Whether the modem answers, and still has the connection, where it says so."""
        try:
            lines = self.at.command("+CMQTTCONNECT?", info="+CMQTTCONNECT:")
        except AtError:
            return  # it answers
        self.gone = self.gone or "0" in lines  # a client that is connected names its broker, too

    def _send(self, number, topic, data, qos, keep):
        at = self.at
        began = hal.ticks_ms()
        while self._sent:  # the modem is busy with the one before
            if self.gone or hal.ticks_diff(hal.ticks_ms(), began) > _PUBLISH_S * 1000:
                raise OSError(errno.ETIMEDOUT)
            hal.sleep_ms(5)
            at.poll()
        at.command("+CMQTTTOPIC=0,%d" % len(topic), data=topic.encode())
        at.command("+CMQTTPAYLOAD=0,%d" % len(data), data=data)
        self._sent.append(number)
        at.command("+CMQTTPUB=0,%d,%d,%d" % (qos, _PUBLISH_S, keep))

    def _published(self, rest):
        number = self._sent.pop(0) if self._sent else 0
        if not rest.endswith(",0"):
            self.gone = True
        elif number:
            self.acked = number

    def _start(self, rest):
        self._topic = b""
        self._data = b"" if int(rest.split(",")[2]) <= MAX_MESSAGE_BYTES else None

    def _topic_follows(self, rest):
        return int(rest.split(",")[1]), self._take_topic

    def _take_topic(self, data):
        self._topic = data

    def _data_follows(self, rest):
        return int(rest.split(",")[1]), self._take_data

    def _take_data(self, data):
        if self._data is not None:
            self._data += data
            if len(self._data) > MAX_MESSAGE_BYTES:
                self._data = None  # its beginning said something else

    def _end(self, rest):
        self.came(self._topic, self._data or b"")
        self._topic = self._data = b""
