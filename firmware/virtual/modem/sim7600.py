"""SIM7600 and A7670: MQTT by AT+CMQTT... (SIMCom's MQTT(S) application note; AT manual V3.00).

Results come after OK, on a line of their own: `+CMQTTCONNECT: 0,0`. A payload that is not UTF-8 is
refused unless `checkUTF8` was switched off. Messages arrive as a START line, topic, payload, END.
"""

from __future__ import annotations

import ssl
import time
from typing import ClassVar

from firmware.virtual.modem.broker import Event
from firmware.virtual.modem.modem import ICCID, CommandError, Modem, fields

NOT_UTF8, SOCKET, USED, NOT_ACQUIRED, LENGTH, OPENED, DNS = 2, 3, 19, 20, 22, 23, 25
HANDSHAKE, NO_CERTIFICATE = 32, 33
# Why a broker refuses (MQTT 3.1.1, 3.2.2.3), in this dialect.
REFUSED = {4: 30, 5: 31}
TOPIC_BYTES = 1024


class Sim7600(Modem):
    """The model of the LilyGO T-SIM7600."""

    model = "SIM7600E"
    on_ms = 500
    payload_bytes = 10240
    satellites = "06,03,00"
    _certificates: ClassVar[dict[str, bytes]] = {}

    def _reset(self) -> None:
        super()._reset()
        self._mqtt = False
        self._name: str | None = None
        self._utf8 = True
        self._topic = ""
        self._payload = b""
        self._later: list[str] = []
        self._connecting = False
        self._address = self._where = ""
        self._tls: dict[str, str] = {}
        self._secure = False

    def after(self) -> None:
        """What follows an OK."""
        lines, self._later = self._later, []
        for line in lines:
            self.say(line)

    def at_ciccid(self, argument: str) -> list[str]:
        """Number of the SIM card."""
        return [f"+ICCID: {ICCID}"]

    def at_cgps(self, argument: str) -> None:
        """The receiver of satellites."""
        self.switch_receiver(argument)

    def at_cgnssinfo(self, argument: str) -> list[str]:
        """Mode, counts of satellites, position, date, time, altitude, and what follows."""
        there = self.position()
        if there is None:
            return ["+CGNSSINFO: ,,,,,,,,,,,,,,,"]
        north, east = "NS"[there[0] < 0], "EW"[there[1] < 0]
        now = time.strftime("%d%m%y,%H%M%S.0", time.gmtime())
        latitude, longitude = self._angle(abs(there[0]), 2), self._angle(abs(there[1]), 3)
        where = f"{latitude},{north},{longitude},{east},{now},{there[2]:.1f}"
        return [f"+CGNSSINFO: 2,{self.satellites},{where},0.0,255.0,1.1,0.8,0.7"]

    def _angle(self, degrees: float, digits: int) -> str:
        """Degrees and minutes as one number."""
        whole = int(degrees)
        return f"{whole:0{digits}d}{(degrees - whole) * 60:09.6f}"

    def at_csslcfg(self, argument: str) -> None:
        """Settings of a TLS context."""
        name, _, value = fields(argument)
        self._tls[name] = value

    def at_ccertdown(self, argument: str) -> None:
        """A certificate into the modem's own storage, which outlasts its power."""
        name, count = fields(argument)

        def keep(data: bytes) -> None:
            self._certificates[name] = data

        self.ask_for(int(count), keep)

    def at_cmqttsslcfg(self, argument: str) -> None:
        """Which context the client uses: there is one."""

    def at_netopen(self, argument: str) -> None:
        """The modem's own IP stack."""
        if not self.registered():
            raise CommandError("ERROR")
        self._later.append("+NETOPEN: 0")

    def at_cmqttstart(self, argument: str) -> None:
        """The MQTT service."""
        code = OPENED if self._mqtt else 0
        if not self.registered():
            raise CommandError("ERROR")
        self._mqtt = True
        self._later.append(f"+CMQTTSTART: {code}")

    def at_cmqttstop(self, argument: str) -> None:
        """Its end."""
        self._mqtt = False
        self._later.append("+CMQTTSTOP: 0")

    def at_cmqttaccq(self, argument: str) -> None:
        """A client: number, name, 0 TCP or 1 TLS."""
        if not self._mqtt or self._name is not None:
            raise CommandError(f"+CMQTTACCQ: 0,{USED}\r\n\r\nERROR")
        self._name = fields(argument)[1]
        self._secure = fields(argument)[2:] == ["1"]
        self._client = self.dial(self._name)

    def at_cmqttrel(self, argument: str) -> None:
        """Gives the client back, and its settings with it."""
        self._name = None
        self._utf8 = True
        if self._client is not None:
            self._client.close(orderly=True)
            self._client = None

    def at_cmqttcfg(self, argument: str) -> None:
        """Settings of a client: checkUTF8."""
        if self._name is None:
            raise CommandError("ERROR")
        words = fields(argument)
        if words[0] == "checkUTF8":
            self._utf8 = words[2] != "0"

    def at_cmqttwilltopic(self, argument: str) -> None:
        """The last will's topic."""
        self.ask_for(int(fields(argument)[1]), self._keep_topic)

    def at_cmqttwillmsg(self, argument: str) -> None:
        """The last will's text and quality of service; it is not retained by this dialect."""
        _, count, qos = fields(argument)

        def keep(data: bytes) -> None:
            if self._client is not None:
                self._client.will(self._topic, data, qos=int(qos), retain=False)

        self.ask_for(int(count), keep)

    def at_cmqttconnect(self, argument: str) -> list[str] | None:
        """Number, "tcp://host:port", keep-alive, clean session, user, password; or which clients are connected."""
        if argument == "?":
            if not self._mqtt:
                raise CommandError("ERROR")
            return [f"+CMQTTCONNECT: 0{self._where}", "+CMQTTCONNECT: 1"]
        if self._client is None or self._name is None:
            raise CommandError(f"+CMQTTCONNECT: 0,{NOT_ACQUIRED}\r\n\r\nERROR")
        words = fields(argument)
        host, _, port = words[1].removeprefix("tcp://").rpartition(":")
        if len(words) > 4:
            self._client.login(words[4], words[5] if len(words) > 5 else None)
        if self._secure:
            # without authmode this modem takes any certificate, as the real one does
            verify = self._tls.get("authmode") == "1"
            authority = self._certificates.get(self._tls.get("cacert", ""), b"")
            try:
                self._client.secure(authority if verify else None)
            except ssl.SSLError:
                raise CommandError(f"+CMQTTCONNECT: 0,{NO_CERTIFICATE}\r\n\r\nERROR") from None
        address = self.reaches(host, int(port))
        if address is None:
            self._later.append(f"+CMQTTCONNECT: 0,{DNS}")
        elif not self._client.connect(*address, int(words[2])):
            code = HANDSHAKE if self._client.no_handshake else SOCKET
            self._later.append(f"+CMQTTCONNECT: 0,{code}")
        else:
            self._connecting = True
            self._address = f',"{words[1]}",{words[2]},1'
        return None

    def at_cmqttdisc(self, argument: str) -> None:
        """Leaves the broker."""
        if self._client is not None:
            self._client.close(orderly=True)
        self._where = ""
        self._later.append("+CMQTTDISC: 0,0")

    def at_cmqtttopic(self, argument: str) -> None:
        """The topic of the next message."""
        self._length(argument, TOPIC_BYTES)
        self.ask_for(int(fields(argument)[1]), self._keep_topic)

    def at_cmqttpayload(self, argument: str) -> list[str] | None:
        """Its payload."""
        if argument == "=?":
            return [f"+CMQTTPAYLOAD: (0-1),(1-{self.payload_bytes})"]
        self._length(argument, self.payload_bytes)
        self.ask_for(int(fields(argument)[1]), self._keep_payload)
        return None

    def at_cmqttpub(self, argument: str) -> None:
        """Number, quality of service, seconds, retained."""
        words = fields(argument)
        if self._client is None or not self._topic:
            raise CommandError("ERROR")
        retain = len(words) > 3 and words[3] == "1"
        self._client.publish(self._topic, self._payload, int(words[1]), retain)

    def at_cmqttsub(self, argument: str) -> None:
        """Number, length of the topic, quality of service."""
        _, count, qos = fields(argument)[:3]

        def ask(data: bytes) -> None:
            if self._client is not None:
                self._client.subscribe(data.decode(), int(qos))

        self.ask_for(int(count), ask)

    def happened(self, event: Event) -> None:
        """An event, in lines."""
        if event.kind == "connected":
            self._connecting = False
            code = REFUSED.get(event.code, 27) if event.code else 0
            self._where = "" if code else self._address
            self.say(f"+CMQTTCONNECT: 0,{code}")
        elif event.kind == "published":
            self.say("+CMQTTPUB: 0,0")
        elif event.kind == "subscribed":
            self.say("+CMQTTSUB: 0,0")
        elif event.kind == "lost" and not self._connecting:
            self._where = ""
            self.say("+CMQTTCONNLOST: 0,3")
        elif event.kind == "message":
            topic = event.topic.encode()
            self.say(f"+CMQTTRXSTART: 0,{len(topic)},{len(event.payload)}")
            self._port.say(b"+CMQTTRXTOPIC: 0,%d\r\n" % len(topic) + topic + b"\r\n")
            for at in range(0, len(event.payload), 512):  # longer ones come in parts
                part = event.payload[at : at + 512]
                self._port.say(b"+CMQTTRXPAYLOAD: 0,%d\r\n" % len(part) + part + b"\r\n")
            self.say("+CMQTTRXEND: 0")

    def _length(self, argument: str, limit: int) -> None:
        if self._client is None:
            raise CommandError("ERROR")
        if not 1 <= int(fields(argument)[1]) <= limit:
            raise CommandError(f"+CMQTTPAYLOAD: 0,{LENGTH}\r\n\r\nERROR")

    def _keep_topic(self, data: bytes) -> None:
        self._topic = data.decode(errors="replace")

    def _keep_payload(self, data: bytes) -> None:
        if self._utf8:
            try:
                data.decode()
            except UnicodeDecodeError:
                raise CommandError(f"+CMQTTPAYLOAD: 0,{NOT_UTF8}\r\n\r\nERROR") from None
        self._payload = data


class A7670(Sim7600):
    """The model of the LilyGO T-A7670."""

    model = "A7670E"
    ready = "*ATREADY: 1"
    on_ms = 100
    payload_bytes = 4096
    satellites = "06,,03,00"
    at_cgps = None  # type: ignore[assignment]

    def at_cgnsspwr(self, argument: str) -> None:
        """The receiver of satellites."""
        self.switch_receiver(argument)

    def _angle(self, degrees: float, digits: int) -> str:
        return f"{degrees:.7f}"
