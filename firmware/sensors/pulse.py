"""Pulses of an electricity meter: its S0 output (DIN EN 62053-31), or a contact.

channels   energy   J   0      since the counting began: pulses x 3,600,000 / per_kwh
           power    W   0      mean since the reading that saw the pulse before

The registry of SenML units (RFC 8428, 12.1) has joule and watt; Wh is a secondary unit (RFC 8798). 1000 pulses a
kilowatt-hour are 3600 J each.

Rules
* The chip's pulse counter counts (`machine.Counter`, MicroPython 1.26 on an ESP32 that has one): no pulse is lost
  while a record is signed. Without it, or for a contact that bounces (`debounce_ms`), an interrupt of the pin does;
  while a record is signed some 8 interrupts wait, and a bouncing contact's pulses of that time become one.
* The count itself is a Python integer: it has no end. The hardware's is read as a difference, so it may wrap.
* The count is in RTC memory after each reading, and in non-volatile storage every `save_s` seconds if it changed:
  a reset or deep sleep loses what came since the last reading, a power cut what came since the last save.
* Saving costs 96 of the 4096 bytes of a flash page: 53,000 saves a year at 600 s wear each page of the 24 KiB
  partition 250 times of 100,000.
* Power needs two readings with new pulses, until then it is None. Without new pulses it falls: had the power been
  what it was, the next pulse would have come.
* Storage is a name space of its own: a fault here cannot touch the key or the head of the chain.
"""

from binascii import crc32

import esp32
import machine
from micropython import const
from tally import hal

PIN = const(27)
PER_KWH = const(1000)  # pulses; on the meter's plate
COUNTER = const(0)  # unit of the pulse counter
DEBOUNCE_MS = const(0)
SAVE_S = const(600)
_FILTER_NS = const(
    12000
)  # the longest that the ESP32's counter has: against spikes, not against bouncing
_JOULE_PER_KWH = const(3600000)
_TAG = b"S0"
_SLOT_BYTES = const(15)  # tag, pin, count (8), CRC-32
_WRAP = const(32)  # bits; wider than any counter's step between two readings


class Interrupts:
    """Counts by interrupts of a pin: what a chip without a pulse counter has."""

    def __init__(self, pin, debounce_ms):
        self._count = 0
        self._debounce_ms = debounce_ms
        self._last_ms = hal.ticks_add(hal.ticks_ms(), -debounce_ms)
        pin.irq(self._edge, pin.IRQ_FALLING)

    def _edge(self, _):
        now = hal.ticks_ms()
        if hal.ticks_diff(now, self._last_ms) >= self._debounce_ms:
            self._count += 1
        # every edge starts the time anew: a contact that still bounces has not settled
        self._last_ms = now

    def value(self):
        return self._count


def _open(number, unit, debounce_ms):
    """Whatever counts best; the output pulls the line to ground, so falling edges."""
    pin = machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP)
    counter = getattr(machine, "Counter", None)
    if counter is None or debounce_ms:
        return Interrupts(pin, debounce_ms)
    return counter(unit, pin, edge=counter.FALLING, filter_ns=_FILTER_NS)


class Kept:
    """A count that outlives resets, under the number of its pin."""

    def __init__(self, pin):
        self._tag = _TAG + bytes((pin,))
        self._key = "pulses%d" % pin
        self._store = esp32.NVS("tally_pulse")

    def _find(self, memory):
        """(place, count) of our slot among what others have in RTC memory, or None."""
        at = memory.find(self._tag)
        slot = memory[at : at + _SLOT_BYTES] if at >= 0 else b""
        if len(slot) < _SLOT_BYTES or crc32(slot[:11]) != int.from_bytes(slot[11:], "big"):
            return None
        return at, int.from_bytes(slot[3:11], "big")

    def load(self):
        """The greater of the two: counts only grow."""
        blob = hal.blob(self._store, self._key, 8)
        saved = int.from_bytes(blob, "big") if blob else 0
        found = self._find(bytes(machine.RTC().memory()))
        return max(saved, found[1]) if found else saved

    def remember(self, count):
        """Into RTC memory. Raises ValueError if it is full."""
        slot = self._tag + count.to_bytes(8, "big")
        slot += crc32(slot).to_bytes(4, "big")
        rtc = machine.RTC()
        memory = bytes(rtc.memory())
        found = self._find(memory)
        at = found[0] if found else len(memory)
        rtc.memory(memory[:at] + slot + memory[at + _SLOT_BYTES :])

    def save(self, count):
        """Into flash. Raises OSError."""
        self._store.set_blob(self._key, count.to_bytes(8, "big"))
        self._store.commit()


class Sensor:
    channels = (("energy", "J", 0), ("power", "W", 0))

    def __init__(
        self, pin=PIN, per_kwh=PER_KWH, counter=COUNTER, debounce_ms=DEBOUNCE_MS, save_s=SAVE_S
    ):
        if per_kwh < 1 or debounce_ms < 0 or save_s < 60 or not 0 <= pin <= 255:
            raise ValueError("per_kwh is at least 1, save_s at least 60, pin 0 to 255")
        self._arguments = (pin, counter, debounce_ms)
        self._per_kwh = per_kwh
        self._save_ms = save_s * 1000
        self._source = None
        self._count = None  # pulses since the counting began
        self._watt = None
        self._changed_ms = None  # when a reading last saw new pulses
        self._elapsed_ms = 0

    def read(self):
        try:
            if self._source is None:
                self._begin()
            new = self._new()
        except (OSError, ValueError):
            return None, None
        self._count += new
        self._keep()
        return self._count * _JOULE_PER_KWH // self._per_kwh, self._power(new)

    def _begin(self):
        pin, counter, debounce_ms = self._arguments
        self._kept = Kept(pin)
        if self._count is None:
            self._count = self._saved = self._kept.load()
        self._saved_ms = 0
        self._ticks = hal.ticks_ms()
        source = _open(pin, counter, debounce_ms)
        self._last = source.value()
        self._source = source

    def _new(self):
        """Pulses since the reading before."""
        value = self._source.value()
        new = (value - self._last) & ((1 << _WRAP) - 1)
        if new >> (_WRAP - 1):
            new = value  # it went back: somebody set it to 0
        self._last = value
        return new

    def _keep(self):
        now = hal.ticks_ms()
        self._elapsed_ms += hal.ticks_diff(now, self._ticks)
        self._ticks = now
        due = self._elapsed_ms - self._saved_ms >= self._save_ms and self._count != self._saved
        try:
            if due:
                self._saved_ms = self._elapsed_ms  # a worn flash is asked again then, not at once
                self._kept.save(self._count)
                self._saved = self._count
        except OSError:
            pass  # the count goes on, and RTC memory has it
        try:
            self._kept.remember(self._count)
        except ValueError:
            pass  # others have filled RTC memory: the count goes on, and flash has it

    def _power(self, new):
        if self._changed_ms is None:
            if new:
                self._changed_ms = self._elapsed_ms
            return None
        milliseconds = max(1, self._elapsed_ms - self._changed_ms)
        watt = max(1, new) * _JOULE_PER_KWH * 1000 // (self._per_kwh * milliseconds)
        if new:
            self._changed_ms = self._elapsed_ms
            self._watt = watt
        elif self._watt is not None:
            self._watt = min(self._watt, watt)
        return self._watt
