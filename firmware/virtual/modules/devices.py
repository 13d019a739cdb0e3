"""Simulated sensor chips for the lines of `bus`: they behave as their data sheets say, faults included.

They say nothing about a real chip. What they measure is what one sets: `temperature` in 1/100 degree, `humidity`
in 1/100 %RH, or the raw register.

Faults (`fault`): "crc" every checksum is wrong; "crc-one" byte number `broken` of an SHT3x is; "absent" nobody
answers; "power" a probe loses its supply in each conversion; "busy" a measurement never ends.
"""

import errno
import time

import bus


def _check(device):
    if device.fault == "absent":
        raise OSError(errno.ENODEV)


def crc8_sensirion(data):
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ (0x131 if crc & 0x80 else 0)) & 0xFF
    return crc


def crc8_maxim(data):
    """CRC of 1-Wire: polynomial x^8 + x^5 + x^4 + 1, reflected, initial value 0."""
    crc = 0
    for byte in data:
        for _ in range(8):
            bit = (crc ^ byte) & 1
            crc = (crc >> 1) ^ (0x8C if bit else 0)
            byte >>= 1
    return crc


class SHT3x:
    """Single shot without clock stretching: a read before the end of the measurement is not acknowledged."""

    def __init__(self, temperature=2150, humidity=4870):
        self.raw = None  # (temperature, humidity) as the chip sends them, in place of the two
        self.temperature = temperature
        self.humidity = humidity
        self.fault = None
        self.broken = 0  # index of the byte that "crc-one" spoils
        self._ready_ms = None

    def write(self, data):
        _check(self)
        if data == b"\x24\x00":
            self._ready_ms = time.ticks_add(time.ticks_ms(), 15)
        elif data in (b"\x30\xa2", b"\x30\x93"):
            self._ready_ms = None
        else:
            raise OSError(errno.EIO)

    def read(self, length):
        _check(self)
        if self._ready_ms is None or self.fault == "busy":
            raise OSError(errno.ENODEV)
        if time.ticks_diff(time.ticks_ms(), self._ready_ms) < 0:
            raise OSError(errno.ENODEV)
        self._ready_ms = None
        raw = self.raw or (
            (self.temperature + 4500) * 65535 // 17500,
            self.humidity * 65535 // 10000,
        )
        out = bytearray()
        for word in raw:
            pair = word.to_bytes(2, "big")
            out.extend(pair + bytes((crc8_sensirion(pair) ^ (self.fault == "crc"),)))
        if self.fault == "crc-one":
            out[self.broken] ^= 0x10
        return bytes(out[:length])


class BME280:
    """Registers of the chip; `raw` is (pressure, temperature, humidity), 20, 20 and 16 bits.

    The trimming values of temperature and pressure, and their raw values, are the example of the BMP280's data sheet
    (3.12): 25.08 degree, 100653 Pa. Those of humidity are of the usual size.
    """

    T = (27504, 26435, -1000)
    P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
    H = (75, 362, 0, 313, 50, 30)

    def __init__(self, raw=(415148, 519888, 30000), number=0x60):
        self.raw = raw
        self.number = number
        self.fault = None
        self._humidity = 0
        self._next = 0
        self._ready_ms = None
        self._memory = bytearray(256)
        self._trim()
        self._store((0x80000, 0x80000, 0x8000))

    def _trim(self):
        words = bytearray()
        for value in self.T + self.P:
            words.extend((value & 0xFFFF).to_bytes(2, "little"))
        h1, h2, h3, h4, h5, h6 = self.H
        self._memory[0x88:0xA0] = words
        self._memory[0xA1] = h1
        self._memory[0xE1:0xE8] = bytes(
            (
                h2 & 255,
                h2 >> 8 & 255,
                h3,
                h4 >> 4 & 255,
                h4 & 15 | (h5 & 15) << 4,
                h5 >> 4 & 255,
                h6 & 255,
            )
        )

    def _store(self, raw):
        pressure, temperature, humidity = raw
        memory = self._memory
        memory[0xF7:0xFA] = (pressure << 4).to_bytes(3, "big")
        memory[0xFA:0xFD] = (temperature << 4).to_bytes(3, "big")
        memory[0xFD:0xFF] = humidity.to_bytes(2, "big")

    def write(self, data):
        _check(self)
        self._next = data[0]
        for byte in data[1:]:
            self._memory[self._next] = byte
            if self._next == 0xF4:
                self._control(byte)

    def _control(self, byte):
        # the setting of humidity takes effect with a write to this register
        self._humidity = self._memory[0xF2] & 7
        if byte & 3 in (1, 2):
            self._ready_ms = time.ticks_add(time.ticks_ms(), 8)

    def _advance(self):
        memory = self._memory
        memory[0xD0] = self.number
        if self._ready_ms is None:
            memory[0xF3] = 0
            return
        if self.fault == "busy" or time.ticks_diff(time.ticks_ms(), self._ready_ms) < 0:
            memory[0xF3] = 8
            return
        self._ready_ms = None
        memory[0xF3] = 0
        control = memory[0xF4]
        memory[0xF4] = control & 0xFC  # back to sleep
        pressure, temperature, humidity = self.raw
        self._store(
            (
                pressure if control >> 2 & 7 else 0x80000,
                temperature if control >> 5 else 0x80000,
                humidity if self._humidity and self.number == 0x60 else 0x8000,
            )
        )

    def read(self, length):
        _check(self)
        self._advance()
        return bytes(self._memory[self._next : self._next + length])


class DS18B20:
    """A probe with its own supply. `raw` is the temperature register, 16 bits."""

    def __init__(self, rom=b"\x28\x01\x02\x03\x04\x05\x06", raw=0x0191):
        self.rom = bytes(rom[:7]) + bytes((crc8_maxim(rom[:7]),))
        self.raw = raw
        self.bits = 12
        self.fault = None
        self._ready_ms = None
        self._register = 0x0550  # at power-on: +85

    def convert(self):
        self._ready_ms = time.ticks_add(time.ticks_ms(), 750 >> (12 - self.bits))

    def ready(self):
        if self._ready_ms is None:
            return True
        if self.fault == "busy" or time.ticks_diff(time.ticks_ms(), self._ready_ms) < 0:
            return False
        self._ready_ms = None
        self._register = 0x0550 if self.fault == "power" else self.raw
        return True

    def scratchpad(self):
        self.ready()
        pad = self._register.to_bytes(2, "little")
        pad += bytes((0x4B, 0x46, (self.bits - 9) << 5 | 0x1F, 0xFF, 0x0C, 0x10))
        return pad + bytes((crc8_maxim(pad) ^ (self.fault == "crc"),))


_KINDS = {"sht3x": SHT3x, "bme280": BME280, "ds18b20": DS18B20}
_plugged = {}  # (kind, line, address or ROM code) -> device


def from_world(listed):
    """Bring the lines to what `world.json` lists: [{"kind", "sda" and "address" | "pin" and "rom", value: ...}];
    {"kind": "analog", "pin", "microvolt"} is a voltage. Devices that a test plugged in itself stay."""
    if listed is None:
        return
    present = set()
    for entry in listed:
        if entry["kind"] == "analog":
            bus.analog[entry["pin"]] = entry["microvolt"]
        else:
            present.add(_plug(entry))
    for place in list(_plugged):
        if place not in present:
            _unplug(place)


def _plug(entry):
    kind = entry["kind"]
    if kind == "ds18b20":
        place = (kind, entry["pin"], entry["rom"])
    else:
        place = (kind, entry["sda"], entry["address"])
    device = _plugged.get(place)
    if device is None:
        if kind == "ds18b20":
            device = DS18B20(bytes.fromhex(entry["rom"]))
            bus.onewire.setdefault(entry["pin"], []).append(device)
        else:
            device = bus.i2c[(entry["sda"], entry["address"])] = _KINDS[kind]()
        _plugged[place] = device
    device.fault = entry.get("fault")
    for name in ("raw", "temperature", "humidity"):
        if name in entry:
            setattr(device, name, entry[name])
    return place


def _unplug(place):
    device = _plugged.pop(place)
    if place[0] == "ds18b20":
        bus.onewire[place[1]].remove(device)
    else:
        del bus.i2c[place[1:]]
