"""Maxim DS18B20 (and DS1822) on a 1-Wire line: one temperature a probe (data sheet 19-7487).

channels   temperature    Cel   -4     one probe on the line, nobody names it
           <your names>   Cel   -4     several: `probes`, [[name, ROM code in 16 hex digits], ...]

The drivers are MicroPython's own `onewire` and `ds18x20`, which ESP32 images have built in.

Rules
* A reading is taken when it is asked for: conversion of all probes at once, 750 ms at most, less if they are ready.
* The exact value: 1/16 degree is 625 x 10^-4.
* Refused: a wrong CRC; a configuration byte that cannot be (a line shorted to ground reads as nine zeros, whose
  CRC is right); +85.0000, which a probe says that lost its supply and never measured.
* Without `probes`, two probes on the line are None: nobody knows which of them is meant.
"""

from micropython import const
from tally import hal

PIN = const(4)
_FAMILIES = (0x28, 0x22)
_CONVERT_MS = const(750)
_POLL_MS = const(10)
_POWER_ON = const(0x0550)


def _rom(text):
    rom = bytearray(bytes.fromhex(text))
    if len(rom) != 8 or rom[0] not in _FAMILIES:
        raise ValueError("%r is no ROM code of a DS18B20" % text)
    return rom


def decode(scratch):
    """1/10000 degree of a scratchpad with a good CRC, or None."""
    if scratch[4] & 0x9F != 0x1F:
        return None
    raw = scratch[0] | scratch[1] << 8
    if raw == _POWER_ON:
        return None
    # below 12 bits the lowest ones are undefined
    raw &= ~((1 << (3 - (scratch[4] >> 5))) - 1)
    raw -= (raw & 0x8000) << 1
    return raw * 625 if -880 <= raw <= 2000 else None


class Sensor:
    def __init__(self, pin=PIN, probes=None):
        self._pin = pin
        self._named = None
        self.channels = (("temperature", "Cel", -4),)
        if probes:
            self._named = [_rom(text) for _, text in probes]
            self.channels = tuple((name, "Cel", -4) for name, _ in probes)
        self._roms = self._named
        self._driver = None

    def read(self):
        try:
            return self._measure()
        except Exception:
            # `onewire` and `ds18x20` raise classes of their own and, for a wrong CRC, plain Exception.
            self._driver = None
            return (None,) * len(self.channels)

    def _measure(self):
        if self._driver is None:
            self._open()
        self._driver.convert_temp()
        left = _CONVERT_MS
        # the line reads 0 while any probe is busy
        while left > 0 and not self._driver.ow.readbit():
            hal.sleep_ms(_POLL_MS)
            left -= _POLL_MS
        return tuple([self._one(rom) for rom in self._roms])

    def _open(self):
        from ds18x20 import DS18X20
        from machine import Pin
        from onewire import OneWire

        driver = DS18X20(OneWire(Pin(self._pin)))
        if self._named is None:
            self._roms = [rom for rom in driver.scan() if rom[0] in _FAMILIES]
            if len(self._roms) != 1:
                raise ValueError("there is not exactly one probe")
        self._driver = driver

    def _one(self, rom):
        try:
            value = decode(self._driver.read_scratch(rom))
        except Exception:  # see `read`: one probe that fails does not hide the others
            value = None
        if value is None and self._named is None:
            self._driver = None  # a probe that was exchanged has another number
        return value
