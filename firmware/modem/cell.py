"""A modem from power-on to a network: what all models do alike.

Rules
* Nothing here waits long: `up` looks, asks for the next step, and says what is missing. It is called again.
* The ladder, by failures in a row: every 4th restarts the modem by AT+CFUN=1,1, every 8th by its power key, the 24th
  asks for a reset of the board. A modem that does not answer at all gets the power key at once.
* The power key of some models toggles, so it is pressed only while the modem is silent.
* ICCID, IMSI and IMEI are personal data: they go into the fingerprint, salted, and nowhere else.
"""

import time

from micropython import const
from tally import hal

from modem.at import At, AtError, Silent

_RESTART_EVERY = const(4)
_KEY_EVERY = const(8)
_BOARD_AFTER = const(24)
_HOME = ("1", "5")  # registered: at home, roaming


class Cell:
    """One modem. args: of the setting `modem_args`: model, uart, baud, tx, rx, power_key, on_ms, off_ms, start_ms, apn,
    and what holds a pin high: high."""

    def __init__(self, args):
        import machine

        self._args = args
        for pin in args.get("high", ()):
            machine.Pin(pin, machine.Pin.OUT, value=1)
        self._uart = machine.UART(
            args.get("uart", 1),
            baudrate=args.get("baud", 115200),
            tx=args.get("tx"),
            rx=args.get("rx"),
            rxbuf=2048,
        )
        self.at = At(self, hal.ticks_ms, hal.ticks_diff, _pause)

    # what At reads and writes
    def read(self, size):
        waiting = self._uart.any()
        return self._uart.read(min(size, waiting)) if waiting else None

    def write(self, data):
        self._uart.write(data)

    def up(self, failures):
        """None if there is a network, else why not. Raises nothing but what the UART raises."""
        climb = failures and failures % _KEY_EVERY == 0
        if failures >= _BOARD_AFTER:
            hal.reset()
        try:
            if climb:
                self._press(self._args.get("off_ms", 3000))
                return "no network: the modem is switched off and on"
            self.at.begin()
        except Silent:
            self._press(self._args.get("on_ms", 1000))
            return "no network: the modem does not answer, switching it on"
        try:
            return self._look(failures)
        except AtError as error:
            return "no network: the modem says %s" % error.args[0]
        except Silent as error:
            return "no network: the modem does not answer %s" % error.args[0]

    def _look(self, failures):
        at = self.at
        at.command("+CMEE=2")
        if failures and failures % _RESTART_EVERY == 0:
            at.command("+CFUN=1,1", 10000)
            return "no network: the modem starts anew"
        sim = at.ask("+CPIN?", "+CPIN:", 5000)[0]
        if sim != "READY":
            return "no network: the SIM card says %s" % sim
        stat = at.ask("+CEREG?", "+CEREG:")[0].split(",")[1]
        if stat not in _HOME:
            if self._args.get("apn"):
                at.command('+CGDCONT=1,"IP","%s"' % self._args["apn"])
            why = "it is refused" if stat == "3" else "searching"
            return "no network: %s, signal %s" % (why, at.ask("+CSQ", "+CSQ:")[0])
        return None

    def identity(self):
        """[IMEI, ICCID] as texts, for the fingerprint; [] where the modem does not say."""
        try:
            imei = self._digits(self.at.ask("+CGSN", ""))
            if self._args.get("model") == "SIM7000":
                return [imei, self._digits(self.at.ask("+CCID", ""))]
            return [imei, self.at.ask("+CICCID", "+ICCID:")[0]]
        except (AtError, Silent):
            return []

    def _digits(self, lines):
        """The line that is a number: other lines may have come between."""
        for line in lines:
            if len(line) >= 14 and line.isdigit():
                return line
        raise AtError("no number")

    def time(self):
        """Unix seconds by the network's clock, or None. The modem tells local time and the quarters of an hour."""
        try:
            text = self.at.ask("+CCLK?", "+CCLK:")[0].strip('"')
            date, clock = text[:17].split(",")
            year, month, day = [int(part) for part in date.split("/")]
            hours, minutes, seconds = [int(part) for part in clock.split(":")]
            seconds += hours * 3600 + minutes * 60 - int(text[17:]) * 900
        except (AtError, Silent, ValueError, IndexError):
            return None
        if year >= 80:
            return None  # a modem that has not been told yet counts from 1980
        return time.mktime((2000 + year, month, day, 0, 0, 0, 0, 0)) + hal.EPOCH + seconds

    def _press(self, held_ms):
        """Hold the power key down, and leave the modem its time."""
        import machine

        pin = self._args.get("power_key")
        if pin is None:
            return
        key = machine.Pin(pin, machine.Pin.OUT, value=0)
        key.value(1)
        hal.sleep_ms(held_ms)
        key.value(0)


def _pause():
    hal.sleep_ms(5)
