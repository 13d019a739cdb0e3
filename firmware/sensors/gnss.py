"""Where the board is: the receiver of its modem (SIM7000: AT+CGNSINF; SIM7600, A7670: AT+CGNSSINFO).

channels   latitude    lat   -6
           longitude   lon   -6
           altitude    m     -1
utc        the satellites' time, which sets the board's clock

Rules
* Without a fix all channels are None: the last position is not made up again.
* The modem is the one of the setting `modem_args`; with PPP it cannot be asked. Where the way out is another one, this
  module wakes it: nobody else does.
* Degrees come as ddmm.mmmm or as dd.dddd, by model and firmware: three or more digits before the point of a latitude,
  or four of a longitude, are degrees and minutes. All of it is computed in integers.
"""

from micropython import const
from modem.at import AtError
from modem.cell import the
from tally import hal

_LIMIT_MS = const(900)
_RETRY = const(30)  # readings until a receiver that said nothing is switched on again
_ON = ("+CGNSPWR=1", "+CGPS=1", "+CGNSSPWR=1")  # one of them each model has


def scaled(text, digits):
    """The number as an integer of 10^-digits, rounded towards zero. Raises ValueError."""
    text = text.strip()
    sign = -1 if text[:1] == "-" else 1
    whole, _, fraction = text.lstrip("+-").partition(".")
    if not (whole + fraction).isdigit():
        raise ValueError("no number")
    return sign * int((whole or "0") + (fraction + "0" * digits)[:digits])


def degrees(text, hemisphere, limit):
    """10^-6 degrees of a latitude (limit 90, N or S) or of a longitude (180, E or W). Raises ValueError."""
    if hemisphere not in (("N", "S") if limit == 90 else ("E", "W")):
        raise ValueError("no hemisphere")
    value = scaled(text, 8)
    if len(text.split(".")[0]) >= (3 if limit == 90 else 4):
        whole, minutes = divmod(value, 100 * 10**8)
        if minutes >= 60 * 10**8:
            raise ValueError("no minutes")
        value = whole * 10**8 + minutes // 60
    value = value // 100
    if not 0 <= value <= limit * 10**6:
        raise ValueError("not on the earth")
    return -value if hemisphere in "SW" else value


def utc(date, time):
    """Unix seconds of yyyymmdd and hhmmss.s, None where that is no time. A receiver's clock comes with its fix; what it
    says may still be nonsense."""
    time = time.split(".")[0]
    if len(date) != 8 or len(time) != 6 or not (date + time).isdigit():
        return None
    hours, minutes, seconds = int(time[:2]), int(time[2:4]), int(time[4:])
    month, day = int(date[4:6]), int(date[6:])
    if not (0 < month < 13 and 0 < day < 32 and hours < 24 and minutes < 60 and seconds < 61):
        return None
    return hal.days(int(date[:4]), month, day) * 86400 + hours * 3600 + minutes * 60 + seconds


def of_cgnsinf(fields):
    """(latitude, longitude, altitude), Unix s of the values of +CGNSINF: run, fix, time, latitude, longitude, ..."""
    if fields[0] != "1" or fields[1] != "1":
        raise ValueError("no fix")
    latitude, longitude = scaled(fields[3], 6), scaled(fields[4], 6)
    if abs(latitude) > 90 * 10**6 or abs(longitude) > 180 * 10**6:
        raise ValueError("not on the earth")
    return (latitude, longitude, scaled(fields[5], 1)), utc(fields[2][:8], fields[2][8:])


def of_cgnssinfo(fields):
    """The same of +CGNSSINFO: mode, 3 or 4 counts of satellites, latitude, N/S, longitude, E/W, date, time, altitude"""
    for at in range(4, len(fields) - 6):
        if fields[at] in ("N", "S"):
            latitude = degrees(fields[at - 1], fields[at], 90)
            longitude = degrees(fields[at + 1], fields[at + 2], 180)
            date = fields[at + 3]
            date = "20" + date[4:] + date[2:4] + date[:2]
            return (latitude, longitude, scaled(fields[at + 5], 1)), utc(date, fields[at + 4])
    raise ValueError("no fix")


class Sensor:
    channels = (("latitude", "lat", -6), ("longitude", "lon", -6), ("altitude", "m", -1))

    def __init__(self):
        self._silent = 0
        self.utc = None

    def read(self):
        cell = the()
        short = cell.model.startswith("SIM7000")
        name = "+CGNSINF" if short else "+CGNSSINFO"
        self.utc = None
        try:
            if cell.at.doubt and not self._wake(cell):
                return None, None, None
            if self._silent % _RETRY == 0:
                self._switch_on(cell.at)
            line = cell.at.command(name, _LIMIT_MS, name + ":")[0]
            fields = [field.strip() for field in line.split(",")]
            position, self.utc = of_cgnsinf(fields) if short else of_cgnssinfo(fields)
        except (OSError, ValueError, IndexError):
            self._silent += 1
            return None, None, None
        self._silent = 1
        return position

    def _wake(self, cell):
        """Whether the modem can be asked now. A link that goes through it gets it back in step by itself."""
        if cell.routed:
            return False
        if self._silent % _RETRY == 0 and cell.awake() is None:
            return True
        self._silent += 1
        return False

    def _switch_on(self, at):
        for text in _ON:
            try:
                at.command(text, _LIMIT_MS)
                return
            except AtError:
                continue  # another model's
