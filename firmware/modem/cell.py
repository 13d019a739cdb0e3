"""The board's modem, from power-on to a network: what all models do alike.

Rules
* There is one (`the`): the link, the key in its SIM card and the position all speak through it.
* Nothing here waits long: `up` looks, asks for the next step, and says what is missing. It is called again.
* A modem that does not answer gets its power key at once: the short press that switches it on; the long one that
  switches it off, where it is on and hangs. The key of some models toggles, so it is pressed only while all is silent.
* The ladder, by the time without a connection: each attempt begins a new session; after `patience_s` AT+CFUN=1,1, after
  three times that the power key, after ten times a reset of the board, also where the modem never says a word. The
  board's watchdog stands behind all of it.
* What `up` asks ends before the shortest watchdog (60 s) bites, with the attempt to connect that follows it.
* ICCID, IMSI and IMEI are personal data: they go into the fingerprint, salted, and nowhere else.
"""

from micropython import const
from tally import hal

from modem import once
from modem.at import At, AtError, Silent

_PATIENCE_S = const(90)
_RUNGS = (1, 3, 10)  # times the patience
_UP_MS = const(18000)
_HOME = ("1", "5")  # registered: at home, roaming
_SETTLE_MS = const(
    2000
)  # from a press that switches off to one that switches on, and after the time of a start
_RXBUF = const(4096)
_SETTINGS = ("+CMEE=2", "+CTZU=1", "+CLTS=1", "+CSCLK=0", "+CSIMSLEEP=0")
_ZONES = range(-48, 57)  # quarters of an hour
_TRIES_LEFT = '+CSIM=10,"0020000100"'  # VERIFY without a PIN spends none (ETSI TS 102 221, 11.1.9)
_cells = []
taken = {}  # setting: the PIN that opened a card in this run; it costs the flash nothing more (pin.py)


def the(config=None):
    """The modem of this board."""
    if not _cells:
        if config is None:
            from tally.config import Config

            config = Config()
        _cells.append(Cell(config))
    return _cells[0]


class Cell:
    """One modem. Of the setting `modem_args`: model (SIM7600), uart (1), baud, tx, rx, power_key, on_ms, off_ms,
    start_ms, apn, high and low: pins that are held so, patience_s.

    identity: [IMEI, ICCID, IMSI] as texts once they are known, else []. routed: whether it is the board's way out."""

    def __init__(self, config):
        import machine

        self._config = config
        self.args = args = config["modem_args"]
        for level, name in enumerate(("low", "high")):
            for pin in args.get(name, ()):
                machine.Pin(pin, machine.Pin.OUT, value=level)
        self.model = args.get("model", "SIM7600")
        wires = {name: args[name] for name in ("tx", "rx") if name in args}
        self.uart = machine.UART(
            args.get("uart", 1), baudrate=args.get("baud", 115200), rxbuf=_RXBUF, timeout=0, **wires
        )
        self.at = At(self, hal.ticks_ms, hal.ticks_diff, _pause)
        self.routed = config["net"] in ("modem", "ppp")
        self.identity = []
        self._on = False  # as far as anybody knows
        self._wait = None  # uptime until which a press of the key is given its time
        self._set = False  # whether this start of the modem has its settings
        self._alone = hal.uptime_ms()  # since when there is no connection
        self._rung = 0

    # what At reads and writes
    def read(self, size):
        waiting = self.uart.any()
        return self.uart.read(min(size, waiting)) if waiting else None

    def write(self, data):
        self.uart.write(data)

    # -- power ---------------------------------------------------------------------------------

    def awake(self):
        """None if the modem answers, else what is being done about it."""
        now = hal.uptime_ms()
        try:
            self.at.begin(1)
        except Silent:
            self._set = False
            if self._wait is not None and now < self._wait:
                return "no network: waiting for the modem"
            if self._on:
                self._press(self.args.get("off_ms", 3000), False)
                return "no network: the modem hangs, switching it off and on"
            self._press(self.args.get("on_ms", 1000), True)
            return "no network: the modem does not answer, switching it on"
        self._on = True
        self._wait = None
        return None

    def _press(self, held_ms, on):
        """Hold the power key down; on: what the modem should be after it."""
        import machine

        self._on = on
        self._set = False
        self.at.doubt = True
        pin = self.args.get("power_key")
        if pin is not None:
            key = machine.Pin(pin, machine.Pin.OUT, value=0)
            key.value(1)
            hal.sleep_ms(held_ms)
            key.value(0)
        takes = self.args.get("start_ms", 3000) if on else 0
        self._wait = hal.uptime_ms() + takes + _SETTLE_MS

    def connected(self):
        """There is a connection: the ladder begins anew when it ends."""
        self._alone = None
        self._rung = 0

    def lost(self):
        """There is none any more."""
        if self._alone is None:
            self._alone = hal.uptime_ms()

    def _is_time_for(self, rung):
        """Whether there has been no connection for so long."""
        self.lost()
        waited_s = (hal.uptime_ms() - self._alone) // 1000
        return waited_s >= self.args.get("patience_s", _PATIENCE_S) * _RUNGS[rung]

    def _climb(self):
        """The next rung of the ladder if it is time for it: what is done, or None."""
        rung = self._rung
        if not self._is_time_for(rung):
            return None
        if rung == 0:
            self._rung = 1
            return self.restart()
        if rung == 1:
            self._rung = 2
            self._press(self.args.get("off_ms", 3000), False)
            return "no network: the modem is switched off and on"
        return self._reset()

    def restart(self):
        """Have the modem start anew, and its card with it. Raises AtError."""
        try:
            self.at.command("+CFUN=1,1", 10000)
        except Silent:
            pass  # some are gone before they say OK
        self._set = False
        self._wait = hal.uptime_ms() + self.args.get("start_ms", 3000) + _SETTLE_MS
        return "no network: the modem starts anew"

    def _reset(self):
        print("# reset: the modem finds no way out")
        hal.sleep_ms(50)
        hal.reset()
        return "no network"

    # -- network -------------------------------------------------------------------------------

    def up(self):
        """None if there is a network, else why not. Raises nothing but what the UART raises."""
        self.at.within(_UP_MS)
        try:
            why = self.awake()
            if why is None:
                return self._climb() or self._look()
            return self._reset() if self._is_time_for(-1) else why
        except AtError as error:
            return "no network: the modem says %s" % error.args[0]
        except Silent as error:
            return "no network: the modem does not answer %s" % error.args[0]
        finally:
            self.at.within(None)

    def _look(self):
        at = self.at
        why = self.card()
        if why is not None:
            return why
        stat = None
        for name in ("+CEREG", "+CGREG"):
            try:
                lines = at.ask(name + "?", name + ":")
            except AtError:
                continue  # a modem that knows one of them
            for line in lines:
                if "," in line:  # the one that came by itself has no comma
                    stat = line.split(",")[1].strip()
            if stat in _HOME:
                if not self.identity:
                    self.read_identity()
                return None
        if stat is None:
            return "no network: the modem does not say whether it is registered"
        why = "it is refused" if stat == "3" else "searching"
        return "no network: %s, signal %s" % (why, at.ask("+CSQ", "+CSQ:")[0])

    def card(self):
        """None if the SIM card is there and open, else why not. Raises AtError, Silent."""
        self._prepare()
        said = self.at.ask("+CPIN?", "+CPIN:", 5000)[0]
        if said == "SIM PIN":
            once("pin", "show", self._config, "sim_pin", self._unlock, self._tries_left())
        elif said != "READY":
            return "no network: the SIM card says %s" % said
        return None

    def _prepare(self):
        """What a modem is told at its start. Some commands one model has, and another has not. Raises Silent."""
        if self._set:
            return
        apn = self.args.get("apn")
        for text in _SETTINGS + (('+CGDCONT=1,"IP","%s"' % apn,) if apn else ()):
            try:
                self.at.command(text)
            except AtError:
                continue
        self._set = True
        self.identity = []

    def _unlock(self, pin):
        """Show it to the card; see pin.show. What is raised does not hold it."""
        try:
            self.at.command('+CPIN="%s"' % pin, 5000, "")
        except AtError as error:
            said = error.args[0]
            if not ("incorrect" in said or "PUK" in said or said.endswith((": 16", ": 12"))):
                raise
            left = self._tries_left()
            return -1 if left is None else left
        except Silent:
            raise Silent("+CPIN") from None
        return None

    def _tries_left(self):
        """How many wrong PINs the card still takes, None where it does not say."""
        try:
            word = self.at.ask(_TRIES_LEFT, "+CSIM:", 5000)[0].strip('"')[-4:].upper()
            if word[:3] == "63C":
                return int(word[3], 16)
        except (AtError, ValueError, IndexError):
            return None
        return 0 if word == "6983" else None

    # -- what it knows -------------------------------------------------------------------------

    def read_identity(self):
        """Fill `identity`. Left empty where the modem does not say all of it."""
        at = self.at
        try:
            if self.model.startswith("SIM7000"):
                iccid = _digits(at.ask("+CCID", ""))
            else:
                iccid = at.ask("+CICCID", "+ICCID:")[0]
            self.identity = [_digits(at.ask("+CGSN", "")), iccid, _digits(at.ask("+CIMI", ""))]
        except (AtError, Silent):
            self.identity = []

    def time(self):
        """Unix seconds by the network's clock, or None. The modem tells local time and the quarters of an hour."""
        try:
            text = self.at.ask("+CCLK?", "+CCLK:")[0].strip('"')
            date, clock = text[:17].split(",")
            year, month, day = [int(part) for part in date.split("/")]
            hours, minutes, seconds = [int(part) for part in clock.split(":")]
            zone = int(text[17:])
        except (AtError, Silent, ValueError, IndexError):
            return None
        if year >= 70 or not (1 <= month <= 12 and 1 <= day <= 31 and zone in _ZONES):
            return None  # a modem that has not been told yet counts from 1970 or 1980
        seconds += hours * 3600 + minutes * 60 - zone * 900
        return hal.days(2000 + year, month, day) * 86400 + seconds


def _digits(lines):
    """The line that is a number: other lines may have come between."""
    for line in lines:
        if len(line) >= 14 and line.rstrip("Ff").isdigit():
            return line
    raise AtError("no number")


def _pause():
    hal.sleep_ms(5)
