"""What all models share: power, the command line, who they are, the network, the clock.

Commands are methods, named for what stands between AT+ and its argument: `at_csq` answers AT+CSQ,
AT+CSQ? and AT+CSQ=...; each gets the argument ("" where there is none, "?" for a query, "=?" for a
test, "=..." else) and returns the information lines. Raising CommandError gives the answer to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from firmware.virtual.modem.broker import Client, Event
from firmware.virtual.modem.call import Call
from firmware.virtual.modem.port import Port
from firmware.virtual.modem.sim_card import SimCard

IMEI = "004401083550007"  # a type allocation code of test equipment
ICCID = "8988303000000000007"
IMSI = "001010123456789"  # the test network, 001-01
SIM_PIN = "1234"
PIN_TRIES = 3
HOW_MANY_TRIES = bytes.fromhex("0020000100")
ESCAPE = 0x1B
LINE_BYTES = 1024
IDLE_S = 0.1


class CommandError(Exception):
    """The answer to a command that fails: "ERROR", or "+CME ERROR: ..."."""


class Modem:
    """A modem that is switched off until its power key is held for long enough."""

    model = ""
    on_ms = 100
    off_ms = 3000
    start_ms = 300  # real ones take 3 to 15 s
    ready = "RDY"  # what it says then

    def __init__(
        self,
        port: Port,
        broker: tuple[str, int],
        *,
        on: bool,
        card: SimCard | None = None,
        register_s: float = 0.5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._port = port
        self._broker = broker  # the only address that this network leads to
        self._card = card
        self._register_s = register_s
        self._clock = clock
        self._pressed_at: float | None = None
        self._client: Client | None = None
        self._commands = 0
        self._powered = False
        self._brownouts = 0  # so far
        self._pin_tries = PIN_TRIES  # the card's: it outlasts the modem's power
        self._reset()
        if on:
            self._switch(on=True)

    # -- power ---------------------------------------------------------------------------------

    def _reset(self) -> None:
        """What a modem knows after power-on."""
        self._echo = True
        self._typed = bytearray()
        self._wanted = 0  # bytes that follow a prompt
        self._taken = bytearray()
        self._then: Callable[[bytes], None] | None = None
        self._hung = False
        self._commands = 0
        self._sessions: dict[int, int] = {}  # of AT+CCHO: number, channel of the card
        self._started = time.monotonic()
        self._receiver = False
        self._unlocked = False
        self._announced = False
        self._call: Call | None = None  # the line carries data
        if self._card is not None:
            self._card.power()

    def _switch(self, *, on: bool) -> None:
        if self._client is not None:
            self._client.close(orderly=False)
            self._client = None
        self._powered = on
        self._reset()

    def _press(self, levels: bytes) -> None:
        """The power key, as the board's pin drives it: "1" down, "0" up."""
        for level in levels:
            if level == ord("1"):
                self._pressed_at = self._pressed_at or time.monotonic()
            elif self._pressed_at is not None:
                held_ms = (time.monotonic() - self._pressed_at) * 1000
                self._pressed_at = None
                if not self._powered and held_ms >= self.on_ms * 0.9:
                    self._switch(on=True)
                elif self._powered and held_ms >= self.off_ms * 0.9:
                    self._switch(on=False)

    # -- the line ------------------------------------------------------------------------------

    def step(self) -> None:
        """Wait a moment for the board or the broker, and answer."""
        sent, pressed = self._port.wait(IDLE_S)
        self._press(pressed)
        brownouts = int(self._port.moods().get("brownouts", 0))
        if brownouts > self._brownouts:
            self._switch(on=True)
        self._brownouts = brownouts
        if not self._powered or (time.monotonic() - self._started) * 1000 < self.start_ms:
            return
        if not self._announced:
            self._announced = True
            self.say(self.ready)
        for byte in sent:
            self._take(byte)
        if self._call is not None and self._call.step():
            self._call = None
            self.say("OK")
        while self._client is not None and not self._client.events.empty():
            self.happened(self._client.events.get())

    def close(self) -> None:
        """The end of the simulation."""
        if self._client is not None:
            self._client.close(orderly=True)

    def _take(self, byte: int) -> None:
        moods = self._port.moods()
        if moods.get("no_sim") and self._card is not None:
            self._card.power()  # taken out: whatever was open is gone
        if self._hung or moods.get("deaf"):
            return
        if self._call is not None:
            self._call.take(byte)
            return
        if self._wanted:
            self._taken.append(byte)
            self._wanted -= 1
            if not self._wanted:
                data, self._taken = bytes(self._taken), bytearray()
                then, self._then = self._then, None
                if then is not None:
                    self._answer(lambda: then(data))
            return
        if self._echo or moods.get("echo"):
            self._port.say(bytes([byte]))
        if byte == ESCAPE:
            self._typed.clear()
        elif byte == 0x0D:
            line, self._typed = bytes(self._typed), bytearray()
            self._run(line.strip())
        elif byte != 0x0A and len(self._typed) < LINE_BYTES:
            self._typed.append(byte)

    def _run(self, line: bytes) -> None:
        if line[:2].upper() != b"AT":
            return
        moods = self._port.moods()
        self._commands += 1
        if moods.get("hang_after") and self._commands > int(moods["hang_after"]):
            self._hung = True
            return
        time.sleep(float(moods.get("delay_ms", 0)) / 1000)
        for text in moods.get("chatter", ()):
            self.say(str(text))
        if moods.get("garbage"):
            self._port.say(self._port.garble() + b"\r\n")
        text = line[2:].decode(errors="replace")
        self._answer(lambda: self._obey(text))

    def _answer(self, work: Callable[[], list[str] | None]) -> None:
        """OK or the error, after the information lines; nothing yet where a prompt was given."""
        try:
            lines = work()
        except CommandError as error:
            if str(error):
                self.say(str(error))
            return
        for line in lines or ():
            self.say(line)
        if not self._wanted:
            self.say("OK")
        self.after()

    def _obey(self, text: str) -> list[str] | None:
        if text in ("", "E0", "E1", "I"):
            if text[:1] == "E":
                self._echo = text == "E1"
            return [f"Tallystick modem simulator, {self.model}"] if text == "I" else None
        if text == "D*99#":
            return self._dialled()
        if not text.startswith("+"):
            raise CommandError("ERROR")
        name = text[1:].split("=")[0].split("?")[0].lower()
        command = getattr(self, f"at_{name}", None)
        if command is None:
            raise CommandError("ERROR")
        answer: list[str] | None = command(text[1 + len(name) :])
        return answer

    def _dialled(self) -> None:
        """PPP: CONNECT is the answer, without OK."""
        if not self.registered():
            raise CommandError("NO CARRIER")
        self.say("CONNECT 115200")
        self._call = Call(self._port.say)
        raise CommandError("")

    def say(self, line: str) -> None:
        """A line of the modem's."""
        self._port.say(b"\r\n" + line.encode() + b"\r\n")

    def ask_for(self, count: int, then: Callable[[bytes], None]) -> None:
        """Give the prompt; `then` gets the bytes that follow."""
        self._wanted, self._then = count, then
        self._port.say(b"\r\n>")

    def after(self) -> None:
        """Called when an answer is complete: what a model says right after its OK."""

    def happened(self, event: Event) -> None:
        """Something came from the broker."""
        raise NotImplementedError

    # -- who it is -----------------------------------------------------------------------------

    def at_cgsn(self, argument: str) -> list[str]:
        """IMEI."""
        return [IMEI]

    def at_cimi(self, argument: str) -> list[str]:
        """IMSI."""
        return [IMSI]

    def at_cpin(self, argument: str) -> list[str] | None:
        """Whether the SIM is there and open; with the mood `pin` it wants 1234 after each start, and counts."""
        moods = self._port.moods()
        self._need_card()
        if argument == "?":
            if self._pin_tries == 0:
                return ["+CPIN: SIM PUK"]
            return ["+CPIN: SIM PIN" if moods.get("pin") and not self._unlocked else "+CPIN: READY"]
        if fields(argument) != [SIM_PIN]:
            self._pin_tries = max(0, self._pin_tries - 1)
            raise CommandError("+CME ERROR: incorrect password")
        self._pin_tries, self._unlocked = PIN_TRIES, True
        return None

    def at_cmee(self, argument: str) -> None:
        """Errors in words."""

    at_ipr = at_csclk = at_cgauth = at_ctzu = at_clts = at_cmee

    # -- its SIM card --------------------------------------------------------------------------

    def at_csim(self, argument: str) -> list[str] | None:
        """A command to the card: count of hex digits, digits."""
        self._need_card()
        if argument == "=?":
            return None
        apdu = self._apdu(fields(argument))
        if apdu == HOW_MANY_TRIES:
            data, word = b"", 0x63C0 | self._pin_tries if self._pin_tries else 0x6983
        elif self._card is None:
            raise CommandError("ERROR")
        else:
            data, word = self._card.transmit(apdu)
        answer = f"{data.hex().upper()}{word:04X}"
        return [f"+CSIM: {len(answer)},{self._quoted(answer)}"]

    def _need_card(self) -> None:
        if self._port.moods().get("no_sim"):
            raise CommandError("+CME ERROR: SIM not inserted")

    def at_ccho(self, argument: str) -> list[str] | None:
        """A session with an applet, on models that have it: none of these, unless the mood says so."""
        self._need_card()
        if self._card is None or not self._port.moods().get("ccho"):
            raise CommandError("ERROR")
        if argument == "=?":
            return None
        channel = self._card.select(bytes.fromhex(fields(argument)[0]))
        if channel is None:
            raise CommandError("+CME ERROR: not found")
        self._sessions[channel + 40] = channel
        return [f"+CCHO: {channel + 40}"]

    def at_cgla(self, argument: str) -> list[str]:
        """A command in a session; the channel is the modem's business."""
        self._need_card()
        session, *rest = fields(argument)
        if self._card is None or int(session) not in self._sessions:
            raise CommandError("+CME ERROR: incorrect parameters")
        apdu = bytearray(self._apdu(rest))
        apdu[0] |= self._sessions[int(session)]
        data, word = self._card.transmit(bytes(apdu))
        answer = f"{data.hex().upper()}{word:04X}"
        return [f"+CGLA: {len(answer)},{self._quoted(answer)}"]

    def _apdu(self, words: list[str]) -> bytes:
        if len(words) != 2 or words[0] != str(len(words[1])):
            raise CommandError("+CME ERROR: incorrect parameters")
        try:
            return bytes.fromhex(words[1])
        except ValueError:
            raise CommandError("+CME ERROR: incorrect parameters") from None

    def _quoted(self, answer: str) -> str:
        return answer if self._port.moods().get("bare") else f'"{answer}"'

    # -- the position --------------------------------------------------------------------------

    def position(self) -> tuple[float, float, float] | None:
        """Latitude, longitude, altitude by the mood's `position`; None: no satellite is in sight."""
        found = self._port.moods().get("position")
        return tuple(found) if isinstance(found, list) and self._receiver else None

    def switch_receiver(self, argument: str) -> None:
        """The command that each dialect has for it, by another name."""
        self._receiver = argument.startswith("=1")

    # -- the network ---------------------------------------------------------------------------

    def registered(self) -> bool:
        """Whether a cell has taken it."""
        if self._port.moods().get("unregistered"):
            return False
        return time.monotonic() - self._started >= self._register_s

    def at_csq(self, argument: str) -> list[str]:
        """Signal."""
        return ["+CSQ: 17,99" if self.registered() else "+CSQ: 99,99"]

    def at_cereg(self, argument: str) -> list[str]:
        """Registration: 1 at home, 2 searching."""
        return [f"+CEREG: 0,{1 if self.registered() else 2}"]

    def at_cgdcont(self, argument: str) -> None:
        """Access point."""

    def at_cfun(self, argument: str) -> None:
        """AT+CFUN=1,1 starts it anew."""
        if argument == "=1,1":
            self.say("OK")
            self._switch(on=True)
            raise CommandError("")

    def at_cclk(self, argument: str) -> list[str]:
        """Local time; the zone in quarters of an hour. A network that tells no time: the mood `no_clock`."""
        if not self.registered() or self._port.moods().get("no_clock"):
            return ['+CCLK: "80/01/06,00:00:12+00"']
        local = time.gmtime(self._clock() + 3600)
        return [f'+CCLK: "{time.strftime("%y/%m/%d,%H:%M:%S", local)}+04"']

    def dial(self, name: str) -> Client:
        """A new MQTT client."""
        return Client(name, self._port.wake)

    def reaches(self, host: str, port: int) -> tuple[str, int] | None:
        """Where an address leads: to the broker that the simulation was given, or nowhere."""
        return self._broker if self.registered() and (host, port) == self._broker else None


def fields(argument: str) -> list[str]:
    """The comma-separated values after "=", without their quotes."""
    found, current, quoted = [], "", False
    for character in argument[1:]:
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            found.append(current)
            current = ""
        else:
            current += character
    return [*found, current]
