"""The one file that touches hardware: clock, radio, flash, non-volatile storage, randomness.

Rules
* Nothing else of the agent imports `machine`, `network` or `esp32`, but for sensors and the Ethernet port (lan.py),
  which few boards have.
* Time leaves this file as Unix seconds. The ports count from 1970 or from 2000: `gmtime(0)` says which.
* The clock counts as set from 2026 on; a board that was just powered says 2000. A guess runs for the dates of
  certificates only: whoever asks for the time hears that it is not set.
* RTC memory is shared with sensors: everybody has a slot with a tag of its own, and finds it by that.
"""

import json
import os
import time
from binascii import crc32

import esp32
import machine
from micropython import const

CLOCK_SET_FROM = const(1767225600)  # 2026-01-01T00:00:00Z
CLOCK_SET_UNTIL = const(2398377600)  # 2046-01-01T00:00:00Z
_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0
_BOOT_MS = time.ticks_ms()

ticks_ms = time.ticks_ms
ticks_diff = time.ticks_diff
ticks_add = time.ticks_add
sleep_ms = time.sleep_ms
ticks_us = time.ticks_us
urandom = os.urandom
unique_id = machine.unique_id
reset = machine.reset

_uptime = [_BOOT_MS, 0]  # last tick seen, milliseconds so far: ticks wrap after some days
_guess = [False]
_TAG = b"TLYs"  # then length (2 bytes), CRC-32 of the body (4 bytes), body
_SLOT_HEAD = const(10)


def board_name():
    """What the board says that it is; the simulator says so here."""
    import sys

    return getattr(machine, "BOARD", None) or getattr(sys.implementation, "_machine", "unknown")


def uptime_ms(begin=None):
    """Milliseconds since boot, sleeps included; to be called at least once in six days.

    begin: set it, after a sleep."""
    now = ticks_ms()
    _uptime[1] += ticks_diff(now, _uptime[0])
    _uptime[0] = now
    if begin is not None:
        _uptime[1] = begin
    return _uptime[1]


def uptime_s():
    """Seconds since boot."""
    return uptime_ms() // 1000


def _days(year, month, day):
    """Days from 1970-01-01 to a date of the Gregorian calendar."""
    if month < 3:
        year -= 1
        month += 12
    return (
        365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
    )


def rtc_ms():
    """Milliseconds since 1970 as the clock says them, set or not: it goes on in a deep sleep."""
    year, month, day, _, hours, minutes, seconds, micros = machine.RTC().datetime()
    whole = _days(year, month, day) * 86400 + hours * 3600 + minutes * 60 + seconds
    return whole * 1000 + micros // 1000


def unix_time():
    """Unix seconds, or None while the clock is not set."""
    now = rtc_ms() // 1000
    return now if now >= CLOCK_SET_FROM and not _guess[0] else None


def set_time(unix_s, guess=False):
    """Set the clock. True if the time was believable and is set. guess: see the rules."""
    if not CLOCK_SET_FROM <= unix_s < CLOCK_SET_UNTIL:
        return False
    year, month, day, hours, minutes, seconds, weekday, _ = time.gmtime(unix_s - _EPOCH)[:8]
    machine.RTC().datetime((year, month, day, weekday, hours, minutes, seconds, 0))
    _guess[0] = guess
    return True


def distrust_time():
    """Let the clock run on as a guess."""
    _guess[0] = True


def woken():
    """Whether this start ended a deep sleep."""
    return machine.reset_cause() == machine.DEEPSLEEP_RESET


def _slot(memory):
    """(from, to) of our slot in RTC memory; two equal numbers if there is none."""
    at = memory.find(_TAG)
    if at < 0:
        return len(memory), len(memory)
    return at, at + _SLOT_HEAD + int.from_bytes(memory[at + 4 : at + 6], "big")


def kept():
    """What `keep` has put into RTC memory, {} if it is not there or damaged."""
    memory = bytes(machine.RTC().memory())
    start, end = _slot(memory)
    body = memory[start + _SLOT_HEAD : end]
    if start == end or crc32(body) != int.from_bytes(memory[start + 6 : start + 10], "big"):
        return {}
    return json.loads(body)


def keep(facts):
    """Keep a dictionary in RTC memory: over resets and deep sleeps. Raises ValueError if it is too much."""
    rtc = machine.RTC()
    memory = bytes(rtc.memory())
    start, end = _slot(memory)
    body = json.dumps(facts).encode()
    slot = _TAG + len(body).to_bytes(2, "big") + crc32(body).to_bytes(4, "big") + body
    rtc.memory(memory[:start] + memory[end:] + slot)


def deepsleep(ms):
    """Switch off until then; the next start is a wake-up."""
    machine.deepsleep(ms)


def watchdog(seconds):
    """Start the chip's watchdog: it resets the board unless it is fed. It cannot be stopped again."""
    return machine.WDT(timeout=seconds * 1000)


def unload(name):
    """Forget a module of the agent that is needed once in a while: its code leaves the memory."""
    import sys

    import tally

    if sys.modules.pop("tally." + name, None) is not None:
        delattr(tally, name)


def output(number, value):
    """A pin that drives a line."""
    return machine.Pin(number, machine.Pin.OUT, value=value)


def nvs():
    """The agent's name space in non-volatile storage: survives the file system, not `erase-flash`."""
    return esp32.NVS("tally")


def blob(store, key, length):
    """A blob of exactly this length out of non-volatile storage, or None."""
    buffer = bytearray(length)
    try:
        return buffer if store.get_blob(key, buffer) == length else None
    except OSError:
        return None


def number(store, key):
    """An integer out of non-volatile storage; 0 where there is none."""
    try:
        return store.get_i32(key)
    except OSError:
        return 0


def free_bytes():
    """Free space of the file system."""
    status = os.statvfs(".")
    return status[0] * status[3]


class Radio:
    """The Wi-Fi station. Switched on, it also feeds the hardware's random number generator."""

    def __init__(self):
        import network

        self._station = network.WLAN(network.STA_IF)
        self._refusal = getattr(network, "STAT_WRONG_PASSWORD", None)

    def on(self):
        """Power the radio. Raises OSError where it cannot."""
        self._station.active(True)
        if not self._station.active():
            raise OSError("radio stays off")

    def off(self):
        self._station.active(False)

    def join(self, ssid, password):
        """Start to join a network; returns at once."""
        try:
            self._station.connect(ssid, password)
        except OSError:
            # The driver refuses while an earlier attempt still runs: that attempt goes on.
            return

    def connected(self):
        return self._station.isconnected()

    def refused(self):
        """Whether the network does not take the password."""
        return self._refusal is not None and self._station.status() == self._refusal
