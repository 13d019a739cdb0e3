"""SIM7000: MQTT by AT+SM... (AT manual V1.06; MQTT(S) application note V1.02).

A payload has at most 512 bytes, and after AT+SMPUBHEX=1 it is given in hexadecimal digits: 256
bytes of binary. What arrives comes on one line, `+SMSUB: "topic","payload"`, as it is.
"""

from __future__ import annotations

import time

from firmware.virtual.modem.broker import Event
from firmware.virtual.modem.modem import ICCID, CommandError, Modem, fields

PAYLOAD_BYTES = 512


class Sim7000(Modem):
    """The model of the LilyGO T-SIM7000G. Its power key toggles."""

    model = "SIM7000G"
    on_ms = 1000
    off_ms = 1300

    def _reset(self) -> None:
        super()._reset()
        self._settings: dict[str, list[str]] = {}
        self._hex = False
        self._bearer = False
        self._connected = False
        self._later: list[str] = []
        self._waits = ""

    def after(self) -> None:
        """What follows an OK."""
        lines, self._later = self._later, []
        for line in lines:
            self.say(line)

    def at_ccid(self, argument: str) -> list[str]:
        """Number of the SIM card."""
        return [ICCID]

    def at_cgnspwr(self, argument: str) -> None:
        """The receiver of satellites."""
        self.switch_receiver(argument)

    def at_cgnsinf(self, argument: str) -> list[str]:
        """Run, fix, time, latitude, longitude, altitude, and sixteen values more; in degrees."""
        there = self.position()
        if there is None:
            return [f"+CGNSINF: {int(self._receiver)},{'0' if self._receiver else ''}" + "," * 19]
        now = time.strftime("%Y%m%d%H%M%S.000", time.gmtime())
        where = f"{there[0]:.6f},{there[1]:.6f},{there[2]:.3f}"
        return [f"+CGNSINF: 1,1,{now},{where},0.00,0.0,1,,1.0,1.3,0.9,,10,8,,,40,,"]

    def at_cnmp(self, argument: str) -> None:
        """Kinds of network."""

    at_cmnb = at_cnmp

    def at_cnact(self, argument: str) -> list[str] | None:
        """The bearer: 1 and the access point."""
        if argument == "?":
            return [f'+CNACT: {int(self._bearer)},"10.0.0.7"']
        if not self.registered():
            raise CommandError("ERROR")
        self._bearer = argument.startswith("=1")
        self._later.append("+APP PDP: ACTIVE" if self._bearer else "+APP PDP: DEACTIVE")
        return None

    def at_smconf(self, argument: str) -> None:
        """One setting of the MQTT client."""
        key, *values = fields(argument)
        self._settings[key] = values

    def at_smpubhex(self, argument: str) -> None:
        """Whether payloads are given in hexadecimal digits."""
        self._hex = argument == "=1"

    def at_smconn(self, argument: str) -> None:
        """Connect; OK comes when the broker has answered."""
        if not self._bearer or self._connected:
            raise CommandError("ERROR")
        told = self._settings
        url = told.get("URL", [""])
        address = self.reaches(url[0], int(url[1]) if len(url) > 1 else 1883)
        self._client = self.dial(told.get("CLIENTID", ["modem"])[0])
        if "USERNAME" in told:
            self._client.login(told["USERNAME"][0], told.get("PASSWORD", [None])[0])
        if "TOPIC" in told:
            retain = told.get("RETAIN", ["0"])[0] == "1"
            message = told.get("MESSAGE", [""])[0].encode()
            self._client.will(told["TOPIC"][0], message, qos=1, retain=retain)
        keepalive = int(told.get("KEEPTIME", ["60"])[0])
        if address is None or not self._client.connect(*address, keepalive):
            raise CommandError("ERROR")
        self._waits = "connected"
        raise CommandError("")

    def at_smstate(self, argument: str) -> list[str]:
        """Whether it is connected."""
        return [f"+SMSTATE: {int(self._connected)}"]

    def at_smdisc(self, argument: str) -> None:
        """Leave the broker."""
        if not self._connected or self._client is None:
            raise CommandError("ERROR")
        self._client.close(orderly=True)
        self._connected = False

    def at_smsub(self, argument: str) -> None:
        """Topic, quality of service."""
        if not self._connected or self._client is None:
            raise CommandError("ERROR")
        topic, qos = fields(argument)
        self._client.subscribe(topic, int(qos))
        self._waits = "subscribed"
        raise CommandError("")

    def at_smpub(self, argument: str) -> None:
        """Topic, length, quality of service, retained; OK comes with the broker's."""
        topic, count, qos, retain = fields(argument)
        if not self._connected or not 1 <= int(count) <= PAYLOAD_BYTES:
            raise CommandError("ERROR")

        def send(data: bytes) -> None:
            if self._hex:
                try:
                    data = bytes.fromhex(data.decode())
                except ValueError:
                    raise CommandError("ERROR") from None
            elif b"\0" in data:
                raise CommandError("ERROR")  # a text, to this modem
            if self._client is None:
                raise CommandError("ERROR")
            self._client.publish(topic, data, int(qos), retain == "1")
            self._waits = "published"
            raise CommandError("")

        self.ask_for(int(count), send)

    def happened(self, event: Event) -> None:
        """An event, in lines."""
        if event.kind == "connected":
            self._connected = event.code == 0
        if event.kind == self._waits:
            self._waits = ""
            self.say("ERROR" if event.code and event.kind == "connected" else "OK")
        elif event.kind == "lost":
            self._connected = False
            self.say("+SMSTATE: 0")
        elif event.kind == "message":
            head = f'+SMSUB: "{event.topic}","'.encode()
            self._port.say(b"\r\n" + head + event.payload + b'"\r\n')
