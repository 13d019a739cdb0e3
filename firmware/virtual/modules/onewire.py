"""The 1-Wire line of the virtual board: what `onewire` of MicroPython offers, byte by byte. A simulator.

Rules
* Nobody on the line: no presence pulse, every bit reads 1. A line on ground: a presence pulse, as far as the
  driver can tell, and every bit reads 0.
* After a reset comes a ROM command, then a function command. Several probes that answer at once are ANDed.
"""

import bus
import devices

_CONVERT = 0x44
_READ_SCRATCHPAD = 0xBE


class OneWireError(Exception):
    """Nobody answered a reset."""


class OneWire:
    SEARCH_ROM = 0xF0
    MATCH_ROM = 0x55
    SKIP_ROM = 0xCC

    def __init__(self, pin):
        self.pin = pin
        self._chosen = []
        self._expected = None
        self._answer = []

    def _probes(self):
        bus.world()
        probes = bus.onewire.get(self.pin.number, [])
        return None if probes == "short" else [one for one in probes if one.fault != "absent"]

    def reset(self, required=False):
        probes = self._probes()
        self._chosen, self._answer = [], []
        self._expected = "rom"
        if probes == [] and required:
            raise OneWireError
        return probes != []

    def writebyte(self, value):
        if self._expected == "rom":
            self._expected = "function"
            if value == self.SKIP_ROM:
                self._chosen = self._probes() or []
        elif self._expected == "function":
            self._expected = None
            if value == _CONVERT:
                for probe in self._chosen:
                    probe.convert()
            elif value == _READ_SCRATCHPAD:
                self._answer = [list(probe.scratchpad()) for probe in self._chosen]

    def write(self, data):
        for value in data:
            self.writebyte(value)

    def select_rom(self, rom):
        self.reset()
        self._expected = "function"
        self._chosen = [one for one in self._probes() or [] if one.rom == bytes(rom)]

    def readbit(self):
        probes = self._probes()
        if probes is None:
            return 0
        return 1 if all(probe.ready() for probe in probes) else 0

    def readbyte(self):
        if self._probes() is None:
            return 0
        value = 0xFF
        for answer in self._answer:
            if answer:
                value &= answer.pop(0)
        return value

    def readinto(self, buffer):
        for i in range(len(buffer)):
            buffer[i] = self.readbyte()

    def scan(self):
        return [bytearray(one.rom) for one in self._probes() or []]

    def crc8(self, data):
        return devices.crc8_maxim(data)
