"""The driver that the setting `sensor` names. Loaded to find it, and forgotten after it."""

from tally import opening
from tally.sensor import SensorError

_LATE = ((1 << 40) - 1, bytes(32), 1 << 33)  # the longest head of a record
_BLANK = bytes(16)


def load(module, arguments):
    """The sensor that the module defines, made with these keyword arguments. Raises SensorError."""
    try:
        sensor = __import__(module, None, None, ("Sensor",)).Sensor(**arguments)
        channels = sensor.channels
        size = opening.size_of_open(
            _LATE, 1 << 31, "0.0.0", _BLANK, 0, _BLANK, channels, 65536, None, None
        )
    except Exception as error:  # a driver is anybody's code
        raise SensorError("no sensor %s: %r" % (module, error)) from None
    if size > opening.MAX_OPEN_BYTES:
        raise SensorError("the channels of %s are too many or too long" % module)
    return sensor
