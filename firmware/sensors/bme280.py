"""Bosch BME280: temperature, pressure and relative humidity over I2C (data sheet BST-BME280-DS002).

channels   temperature   Cel   -2
           pressure      Pa     0
           humidity      %RH   -2

Rules
* Forced mode, each quantity sampled once, filter off ("weather monitoring", 3.5.1): the chip sleeps in between.
* Compensation in integers, with the formulas of 4.2.3: pressure the 64-bit one, humidity the 32-bit one.
* The bus has no checksum. So the chip's number is read along with each measurement, and what lies outside the
  chip's operating range is None.
* A BMP280 sold under the name of its big brother is recognised: it measures, and its humidity is None.
"""

import errno

from micropython import const
from tally import hal

from sensors import i2c

ADDRESS = const(0x76)  # 0x77 with SDO tied to VDDIO
_CALIBRATION_1 = const(0x88)  # 26 bytes: T1..T3, P1..P9, one unused, H1
_CALIBRATION_2 = const(0xE1)  # 7 bytes: H2..H6
_ID = const(0xD0)
_CONTROL_HUMIDITY = const(0xF2)
_STATUS = const(0xF3)
_CONTROL = const(0xF4)
_CONFIG = const(0xF5)
_DATA = const(0xF7)  # 8 bytes: pressure, temperature, humidity
_BME280 = const(0x60)
_BMP280 = const(0x58)
_ONCE = const(0x25)  # temperature x 1, pressure x 1, forced mode
_MEASURING = const(0x08)
_MEASURE_MS = const(10)  # 9.3 ms at most (appendix B)
_WAITS = const(5)
_SKIPPED = const(0x80000)  # what a quantity reads as that was not measured


def _signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


class Calibration:
    """The trimming values of one chip, and what they make of its raw readings."""

    def __init__(self, first, second):
        words = [first[i] | first[i + 1] << 8 for i in range(0, 24, 2)]
        for i in range(1, 12):
            if i != 3:  # T1 and P1 have no sign
                words[i] = _signed(words[i], 16)
        self._t = words[:3]
        self._p = words[3:]
        h4 = _signed(second[3], 8) << 4 | second[4] & 15
        h5 = _signed(second[5], 8) << 4 | second[4] >> 4
        h2 = _signed(second[0] | second[1] << 8, 16)
        self._h = (first[25], h2, second[2], h4, h5, _signed(second[6], 8))

    def fine(self, raw):
        """The fine temperature, 1/5120 degree: what the other two are compensated with."""
        t1, t2, t3 = self._t
        part = (((raw >> 3) - (t1 << 1)) * t2) >> 11
        return part + (((((raw >> 4) - t1) * ((raw >> 4) - t1)) >> 12) * t3 >> 14)

    def temperature(self, fine):
        """1/100 degree Celsius."""
        return (fine * 5 + 128) >> 8

    def pressure(self, raw, fine):
        """1/256 Pa; None if the trimming values are none."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self._p
        a = fine - 128000
        b = a * a * p6 + (a * p5 << 17) + (p4 << 35)
        a = (a * a * p3 >> 8) + (a * p2 << 12)
        a = ((1 << 47) + a) * p1 >> 33
        if a == 0:
            return None
        p = ((1048576 - raw << 31) - b) * 3125 // a
        a = p9 * (p >> 13) * (p >> 13) >> 25
        return (p + a + (p8 * p >> 19) >> 8) + (p7 << 4)

    def humidity(self, raw, fine):
        """1/1024 %RH, from 0 to 100 %RH."""
        h1, h2, h3, h4, h5, h6 = self._h
        v = fine - 76800
        wet = (raw << 14) - (h4 << 20) - h5 * v + 16384 >> 15
        warm = ((v * h6 >> 10) * ((v * h3 >> 11) + 32768) >> 10) + 2097152
        v = wet * (warm * h2 + 8192 >> 14)
        v -= ((v >> 15) * (v >> 15) >> 7) * h1 >> 4
        return min(max(v, 0), 419430400) >> 12


def _within(value, low, high):
    return value if value is not None and low <= value <= high else None


class Sensor:
    channels = (("temperature", "Cel", -2), ("pressure", "Pa", 0), ("humidity", "%RH", -2))

    def __init__(self, sda=i2c.SDA, scl=i2c.SCL, address=ADDRESS, freq_hz=i2c.FREQ_HZ):
        self._bus = i2c.Bus(sda, scl, freq_hz, address)
        self._calibration = None

    def read(self):
        try:
            if self._calibration is None:
                self._set_up()
            return self._measure()
        except (OSError, ValueError):
            # whoever comes back may be another chip
            self._calibration = None
            return None, None, None

    def _set_up(self):
        self._kind = self._bus.read_registers(_ID, 1)[0]
        if self._kind not in (_BME280, _BMP280):
            raise OSError(errno.ENODEV)
        first = self._bus.read_registers(_CALIBRATION_1, 26)
        second = self._bus.read_registers(_CALIBRATION_2, 7)
        self._bus.write_register(_CONFIG, 0)
        self._calibration = Calibration(first, second)

    def _measure(self):
        bus = self._bus
        # the humidity's setting takes effect with the write to the other register
        bus.write_register(_CONTROL_HUMIDITY, 1)
        bus.write_register(_CONTROL, _ONCE)
        for _ in range(_WAITS):
            hal.sleep_ms(_MEASURE_MS)
            if not bus.read_registers(_STATUS, 1)[0] & _MEASURING:
                break
        else:
            raise OSError(errno.ETIMEDOUT)
        data = bus.read_registers(_DATA, 8)
        if bus.read_registers(_ID, 1)[0] != self._kind:
            raise OSError(errno.EIO)
        return self._values(data)

    def _values(self, data):
        calibration = self._calibration
        raw_pressure = data[0] << 12 | data[1] << 4 | data[2] >> 4
        raw_temperature = data[3] << 12 | data[4] << 4 | data[5] >> 4
        raw_humidity = data[6] << 8 | data[7]
        if raw_temperature == _SKIPPED:
            return None, None, None
        fine = calibration.fine(raw_temperature)
        temperature = _within(calibration.temperature(fine), -4000, 8500)
        if temperature is None:
            return None, None, None
        pressure = humidity = None
        if raw_pressure != _SKIPPED:
            pressure = calibration.pressure(raw_pressure, fine)
        if pressure is not None:
            pressure = _within(pressure + 128 >> 8, 30000, 110000)
        if self._kind == _BME280 and raw_humidity != _SKIPPED >> 4:
            humidity = calibration.humidity(raw_humidity, fine) * 100 + 512 >> 10
        return temperature, pressure, humidity
