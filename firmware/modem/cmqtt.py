"""MQTT inside a SIM7600 or A7670 (AT+CMQTT...), with the interface of tally/mqtt.py's Session.

Rules
* A command that says its outcome later (`+CMQTTCONNECT: 0,0`) is waited for when a connection begins, and comes as an
  unsolicited line for a publication: that is the PUBACK.
* One message at a time: the modem has one place for a topic and one for a payload.
* Records are no UTF-8: checkUTF8 is switched off for the client, each time, for it is forgotten with it.
* The modem's TLS is used with the CA that `set ca` pinned, or not at all: by default it checks nothing.
"""

import errno

from micropython import const
from tally.stream import Trouble

from modem.at import AtError, Silent

_CONNECT_MS = const(20000)
_PUBLISH_S = const(20)
_REFUSED = {"27": "the protocol", "28": "the name", "30": "the login", "31": "this board"}


class Session:
    """One connection. hear(topic, data) is called with each message."""

    window = 1
    max_message = 2048  # the modem takes 4096 bytes at least

    def __init__(self, cell, hear):
        self._at = cell.at
        self._hear = hear
        self._pid = 0
        self._sent = []  # numbers of what the broker has not confirmed; 0 for what nobody waits for
        self._acked = None
        self._lost = False
        self._topic = self._data = b""
        at = cell.at.unsolicited
        at.clear()
        at["+CMQTTRXSTART:"] = self._start
        at["+CMQTTRXTOPIC:"] = self._topic_follows
        at["+CMQTTRXPAYLOAD:"] = self._data_follows
        at["+CMQTTRXEND:"] = self._end
        at["+CMQTTPUB:"] = self._published
        at["+CMQTTCONNLOST:"] = at["+CMQTTNONET"] = self._gone

    # -- begin and end -------------------------------------------------------------------------

    def open(self, config, device, topic):
        """Connect and set the last will. Raises Trouble, AtError, Silent."""
        at = self._at
        self._forget()
        code = at.command("+CMQTTSTART", _CONNECT_MS, ends="+CMQTTSTART:")[-1]
        if code not in ("0", "23"):
            raise Trouble("no network", "the modem has no way out, code %s" % code)
        at.command('+CMQTTACCQ=0,"%s",%d' % (device, config["broker_tls"]))
        at.command('+CMQTTCFG="checkUTF8",0,0')
        state = topic + "/state"
        at.command("+CMQTTWILLTOPIC=0,%d" % len(state), data=state.encode())
        at.command("+CMQTTWILLMSG=0,4,1", data=b"lost")
        where = '+CMQTTCONNECT=0,"tcp://%s:%d",%d,1' % (
            config["broker_host"],
            config["broker_port"] or 1883,
            config["keepalive_s"],
        )
        for secret in ("broker_user", "broker_password"):
            if config[secret] is not None:
                where += ',"%s"' % config[secret]
        try:
            code = at.command(where, _CONNECT_MS, ends="+CMQTTCONNECT:")[-1].split(",")[-1]
        except (AtError, Silent) as error:
            # what the modem would not take holds a password
            raise type(error)("+CMQTTCONNECT") from None
        if code != "0":
            refused = _REFUSED.get(code)
            text = "the broker refuses %s" % refused if refused else "the modem's code %s" % code
            raise Trouble("login" if refused else "no broker", text)

    def _forget(self):
        """Give back what an earlier start of the board may have left in the modem."""
        for text, ends in (("DISC=0,60", "+CMQTTDISC:"), ("REL=0", None), ("STOP", "+CMQTTSTOP:")):
            try:
                self._at.command("+CMQTT" + text, 5000, ends=ends)
            except AtError:
                continue  # there was nothing

    def follow(self, topic):
        self._at.command(
            "+CMQTTSUB=0,%d,1" % len(topic), 10000, ends="+CMQTTSUB:", data=topic.encode()
        )

    def leave(self):
        self._forget()

    def close(self):
        self._at.unsolicited.clear()

    # -- messages ------------------------------------------------------------------------------

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
        self._pid += 1
        self._sent.append(self._pid)
        self._send(topic, data, 1, False)
        return self._pid

    def tell(self, topic, data, keep):
        self._sent.append(0)
        self._send(topic, data, 0, keep)

    def ping(self):
        """The modem keeps the connection alive; whether it still does is asked."""
        self._at.command("")

    def _send(self, topic, data, qos, keep):
        at = self._at
        try:
            at.command("+CMQTTTOPIC=0,%d" % len(topic), data=topic.encode())
            at.command("+CMQTTPAYLOAD=0,%d" % len(data), data=data)
            at.command("+CMQTTPUB=0,%d,%d,%d" % (qos, _PUBLISH_S, keep))
        except (AtError, Silent):
            raise OSError(errno.EIO) from None

    def _published(self, rest):
        number = self._sent.pop(0) if self._sent else 0
        if not rest.endswith(",0"):
            self._lost = True
        elif number:
            self._acked = number

    def _gone(self, rest):
        self._lost = True

    def _start(self, rest):
        self._topic = self._data = b""

    def _topic_follows(self, rest):
        return int(rest.split(",")[1]), self._take_topic

    def _take_topic(self, data):
        self._topic = data

    def _data_follows(self, rest):
        return int(rest.split(",")[1]), self._take_data

    def _take_data(self, data):
        self._data += data

    def _end(self, rest):
        self._hear(self._topic, self._data)
        self._topic = self._data = b""
