"""What a sensor is to the agent, and how readings are gathered into one record.

A sensor is a class `Sensor` in the module that the setting `sensor` names:

    channels   [(name, SenML unit, decimal exponent)], 1 to 16, fixed for life
    read()     one integer for each channel, in that order; None where there is no value.
               Value = integer x 10^exponent. It returns within a second.
    utc        Unix seconds of that moment, None where they are not known: of a sensor that knows the time, only

Rules
* A failed channel is None in the record and an event at the first failure, another one at recovery. A driver
  that raises has failed in all channels; the agent goes on.
* Times are ticks since the first reading of the batch. Evenly spaced readings are stated as one interval.
"""

from micropython import const

from tally import hal, record

_RANGE = 1 << 62  # every difference of two values then fits into 64 bits


class SensorError(Exception):
    """There is no sensor that the agent could use."""


def tick_ms(interval_ms):
    """The tick that states this interval without a remainder, as coarse as possible."""
    for tick in (1000, 100, 10):
        if interval_ms % tick == 0:
            return tick
    return 1


# a record of readings but for what the columns hold: COSE, place in the chain, `boot` (docs/format.md, 4)
_FRAME_BYTES = const(152)
_COLUMN_BYTES = const(3)


def _bytes(value):
    """Length of an integer in CBOR."""
    if value < 0:
        value = -1 - value
    if value < 24:
        return 1
    size = 2
    limit = 0x100
    while value >= limit:
        size = 2 * size - 1  # 2, 3, 5, 9
        limit *= limit
    return size


class Batch:
    """Readings until they are signed. start: (Unix s or uptime s) of the first. size: bytes of the record, at most."""

    def __init__(self, channels, tick):
        self._tick = tick
        self._channels = channels
        self.clear()

    def clear(self):
        self.columns = [[] for _ in range(self._channels)]
        self._last = [0] * self._channels
        self._times = []
        self._first_ms = 0
        self.start = None
        self.size = _FRAME_BYTES + _COLUMN_BYTES * self._channels

    def __len__(self):
        return len(self._times)

    def growth(self, values):
        """Bytes that this reading would add now, at most."""
        total = _bytes(self._elapsed(hal.uptime_ms()))  # its difference is not longer
        for last, value in zip(self._last, values):
            total += 1 if value is None else _bytes(value - last)
        return total

    def _elapsed(self, now):
        return (now - self._first_ms + self._tick // 2) // self._tick if self._times else 0

    def add(self, values, time):
        self.size += self.growth(values)
        now = hal.uptime_ms()
        if not self._times:
            self._first_ms = now
            self.start = time
        self._times.append(self._elapsed(now))
        for i, value in enumerate(values):
            self.columns[i].append(value)
            if value is not None:
                self._last[i] = value

    def interval(self):
        """Ticks between readings: 0 for one, a number, or the list of differences."""
        times = self._times
        if len(times) < 2:
            return 0
        steps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
        return steps[0] if all(step == steps[0] for step in steps) else steps

    def kept(self):
        """All of it as a list, for RTC memory."""
        return [self._first_ms, self.start, self.size, self._last, self._times, self.columns]

    def take(self, kept):
        """Go on with what `kept` gave."""
        self._first_ms, self.start, self.size, self._last, self._times, self.columns = kept


def measure(sensor):
    """(values, statuses) of one reading: what is no integer within 62 bits becomes None and has a status."""
    count = len(sensor.channels)
    try:
        values = tuple(sensor.read())
    except Exception:  # a driver is anybody's code, and a loose cable is an OSError
        values = ()
    clean = []
    statuses = []
    for channel in range(count):
        value = values[channel] if len(values) == count else None
        status = record.SENSOR_GOOD
        if not isinstance(value, int):
            value, status = None, record.SENSOR_FAILED
        elif not -_RANGE < value < _RANGE:
            value, status = None, record.SENSOR_OUT_OF_RANGE
        clean.append(value)
        statuses.append(status)
    return clean, statuses


class Watch:
    """How each channel was at the last reading, so that a change becomes one event."""

    def __init__(self, channels):
        self._last = [record.SENSOR_GOOD] * channels

    def trouble(self):
        """Whether a channel has no value."""
        return any(status != record.SENSOR_GOOD for status in self._last)

    def kept(self):
        return self._last

    def take(self, kept):
        self._last = kept

    def changes(self, statuses):
        """[(channel, status)] for what is different from the reading before."""
        found = [(i, status) for i, status in enumerate(statuses) if status != self._last[i]]
        self._last = statuses
        return found
