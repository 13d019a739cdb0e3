"""An I2C bus on two pins, for the sensors on it: opened when it is first used, freed when it hangs.

A board that restarts in the middle of a transfer leaves its sensor waiting for clocks, with SDA held low. Nobody
can start a transfer then, and no reset of the board ends it.

Rules
* Before each transfer both lines are looked at. SDA low: up to 9 clocks and a STOP (NXP UM10204, 3.1.16). Still
  low, or SCL held low: OSError. On a hung bus every byte reads as 0 and is "acknowledged", so one must look.
* Every method raises OSError where the device does not answer, ValueError where a pin cannot do it.
* Bus and pins are bit-banged: any pin will do, and no controller is left in a state of its own.
"""

import errno
import time

from machine import Pin, SoftI2C
from micropython import const

SDA = const(21)
SCL = const(22)
FREQ_HZ = const(100000)
_CLOCKS = const(9)
_HALF_US = const(5)


class Bus:
    """A device at `address` on the pins sda and scl."""

    def __init__(self, sda, scl, freq_hz, address):
        if not 8 <= address <= 0x77:
            raise ValueError("an I2C address is a number from 8 to 119")
        self._numbers = (sda, scl)
        self._freq_hz = freq_hz
        self._address = address
        self._i2c = None

    def _ready(self):
        if self._i2c is None:
            sda, scl = self._numbers
            self._sda = Pin(sda, Pin.OPEN_DRAIN, Pin.PULL_UP, value=1)
            self._scl = Pin(scl, Pin.OPEN_DRAIN, Pin.PULL_UP, value=1)
            self._i2c = SoftI2C(scl=self._scl, sda=self._sda, freq=self._freq_hz)
        if not self._scl.value():
            raise OSError(errno.ETIMEDOUT)
        if not self._sda.value():
            self._free()
        return self._i2c

    def _free(self):
        sda, scl = self._sda, self._scl
        for _ in range(_CLOCKS):
            scl.value(0)
            time.sleep_us(_HALF_US)
            scl.value(1)
            time.sleep_us(_HALF_US)
            if sda.value():
                break
        else:
            raise OSError(errno.ETIMEDOUT)
        # STOP: SDA rises while SCL is high
        scl.value(0)
        sda.value(0)
        time.sleep_us(_HALF_US)
        scl.value(1)
        time.sleep_us(_HALF_US)
        sda.value(1)

    def write(self, data):
        self._ready().writeto(self._address, data)

    def read_into(self, buffer):
        self._ready().readfrom_into(self._address, buffer)

    def write_register(self, register, value):
        """One byte."""
        self._ready().writeto_mem(self._address, register, bytes((value,)))

    def read_registers(self, register, length):
        """This many bytes from that register on."""
        return self._ready().readfrom_mem(self._address, register, length)
