"""The one file that touches hardware: clock, flash, non-volatile storage, randomness.

Rules
* Nothing else of the agent imports `machine`, `network` or `esp32`, but for sensors, and what is loaded when it is
  needed: RTC memory (rtc.py), the radio (uplink.py), the Ethernet port (lan.py).
* Time leaves this file as Unix seconds. The ports count from 1970 or from 2000: `gmtime(0)` says which.
* The clock counts as set from 2026 on; a board that was just powered says 2000. A guess runs for the dates of
  certificates only: whoever asks for the time hears that it is not set.
* After an error of the flash, other than "full", the file system is not used any more before a reset: the ESP32's
  partition raises its errors straight through littlefs, which does not know then what it has written. Above all no
  file is closed, which would write.
"""

import errno
import os
import time

import esp32
import machine
from micropython import const

from tally import once

CLOCK_SET_FROM = const(1767225600)  # 2026-01-01T00:00:00Z
CLOCK_SET_UNTIL = const(2398377600)  # 2046-01-01T00:00:00Z
EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0
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
guess = [False]  # whether the clock runs as a guess
_PAUSE_MS = const(60000)
_FULL = const(28)  # ENOSPC, which MicroPython's errno does not name
_failed = []  # the error of the flash, and what must not be closed, and so not be collected either


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


def days(year, month, day):
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
    whole = days(year, month, day) * 86400 + hours * 3600 + minutes * 60 + seconds
    return whole * 1000 + micros // 1000


def unix_time():
    """Unix seconds, or None while the clock is not set."""
    now = rtc_ms() // 1000
    return now if now >= CLOCK_SET_FROM and not guess[0] else None


def count_fault():
    """Count a failure of the flash; milliseconds until a reset is to try again."""
    try:
        return once("rtc", "count_fault")
    except (ImportError, OSError, MemoryError):
        return _PAUSE_MS  # not even the agent's files can be read


def woken():
    """Whether this start ended a deep sleep."""
    return machine.reset_cause() == machine.DEEPSLEEP_RESET


def deepsleep(ms):
    """Switch off until then; the next start is a wake-up."""
    machine.deepsleep(ms)


def watchdog(seconds):
    """Start the chip's watchdog: it resets the board unless it is fed. It cannot be stopped again."""
    return machine.WDT(timeout=seconds * 1000)


class FlashFault(OSError):
    """The file system is not to be used any more before a reset."""


def flash_check(error=None, file=None):
    """FlashFault if this error, or one before, leaves the file system in doubt. file: that was written then."""
    if error is not None and error.args[0] not in (_FULL, errno.ENOENT):
        _failed.append((error.args[0], file))
    if _failed:
        raise FlashFault(_failed[0][0])


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
