"""Sensirion SHT30, SHT31, SHT35: temperature and relative humidity over I2C (data sheet, version 7).

channels   temperature   Cel   -2
           humidity      %RH   -2

Rules
* One single shot of high repeatability a reading, clock stretching off: between readings the chip sleeps, and
  does not warm itself.
* Each value has a CRC of its own: a wrong one makes that channel None, and no other.
"""

from micropython import const
from tally import hal

from sensors import i2c

ADDRESS = const(0x44)  # 0x45 with ADDR tied to VDD
_SINGLE_SHOT = b"\x24\x00"
_MEASURE_MS = const(16)  # 15 ms at most, and one for the tick in which the wait began
_POLYNOMIAL = const(0x31)


def crc8(data):
    """CRC-8 of table 20: polynomial 0x31, initial value 0xFF, not reflected. BE EF gives 92."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ _POLYNOMIAL) & 0xFF if crc & 0x80 else crc << 1
    return crc


def _word(data, at):
    """The 16-bit word at this place, or None if the CRC behind it is wrong."""
    if crc8(data[at : at + 2]) != data[at + 2]:
        return None
    return data[at] << 8 | data[at + 1]


def _scaled(word, span, zero):
    """zero + span * word / (2^16 - 1), rounded."""
    return None if word is None else (span * word + 32767) // 65535 + zero


class Sensor:
    channels = (("temperature", "Cel", -2), ("humidity", "%RH", -2))

    def __init__(self, sda=i2c.SDA, scl=i2c.SCL, address=ADDRESS, freq_hz=i2c.FREQ_HZ):
        self._bus = i2c.Bus(sda, scl, freq_hz, address)
        self._data = bytearray(6)

    def read(self):
        try:
            self._bus.write(_SINGLE_SHOT)
            hal.sleep_ms(_MEASURE_MS)
            self._bus.read_into(self._data)
        except (OSError, ValueError):
            return None, None
        temperature = _scaled(_word(self._data, 0), 17500, -4500)
        return temperature, _scaled(_word(self._data, 3), 10000, 0)
