"""A voltage at a pin of the chip: the ESP32's own converter, calibrated by its maker.

channels   voltage   V   -3        or what `name`, `unit`, `exponent` say

With a divider, a shunt or a transducer the value is another quantity: (millivolt - zero_mv) x multiply / divide, in
the unit and with the exponent that one states. A level of 0 to 5 m as 4 to 20 mA over 120 ohm, in millimetres:
zero_mv 480, multiply 5000, divide 1920, unit "m", exponent -3, low_mv 430.

Rules
* `read_uv` (the factory's calibration), never `read_u16`; `samples` of them, averaged in integers.
* With `low_mv` or `high_mv`, a mean outside is None: so a cut wire of a 4 to 20 mA loop is no 0.
* Pins 32 to 39 on the ESP32: the others are on the converter that the radio takes for itself.
"""

from micropython import const

PIN = const(34)
ATTENUATION_DB = const(11)
SAMPLES = const(16)
MAX_SAMPLES = const(1024)
_ATTENUATIONS = {0: "ATTN_0DB", 2: "ATTN_2_5DB", 6: "ATTN_6DB", 11: "ATTN_11DB"}


class Sensor:
    def __init__(
        self,
        pin=PIN,
        attenuation_db=ATTENUATION_DB,
        samples=SAMPLES,
        zero_mv=0,
        multiply=1,
        divide=1,
        low_mv=None,
        high_mv=None,
        name="voltage",
        unit="V",
        exponent=-3,
    ):
        if attenuation_db not in _ATTENUATIONS:
            raise ValueError("attenuation_db is 0, 2, 6 or 11")
        if not 1 <= samples <= MAX_SAMPLES or divide < 1:
            raise ValueError("samples is 1 to 1024, divide at least 1")
        self.channels = ((name, unit, exponent),)
        self._pin = pin
        self._attenuation = _ATTENUATIONS[attenuation_db]
        self._samples = samples
        self._zero_uv = zero_mv * 1000 * samples
        self._multiply = multiply
        self._divisor = samples * 1000 * divide
        self._low_uv = None if low_mv is None else low_mv * 1000 * samples
        self._high_uv = None if high_mv is None else high_mv * 1000 * samples
        self._adc = None

    def read(self):
        try:
            total = self._sum()
        except (OSError, ValueError):
            self._adc = None
            return (None,)
        low, high = self._low_uv, self._high_uv
        if (low is not None and total < low) or (high is not None and total > high):
            return (None,)
        scaled = (total - self._zero_uv) * self._multiply
        return ((scaled + self._divisor // 2) // self._divisor,)

    def _sum(self):
        """Microvolt, all samples together."""
        if self._adc is None:
            from machine import ADC, Pin

            self._adc = ADC(Pin(self._pin), atten=getattr(ADC, self._attenuation))
        total = 0
        for _ in range(self._samples):
            total += self._adc.read_uv()
        return total
