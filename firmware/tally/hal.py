"""The one file that touches hardware: clock, radio, flash, non-volatile storage, randomness.

Rules
* Nothing else of the agent imports `machine`, `network` or `esp32`.
* Time leaves this file as Unix seconds. The ports count from 1970 or from 2000: `gmtime(0)` says which.
* The clock counts as set from 2026 on; a board that was just powered says 2000.
"""

import os
import time

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


def board_name():
    """What the board says that it is; the simulator says so here."""
    import sys

    return getattr(machine, "BOARD", None) or getattr(sys.implementation, "_machine", "unknown")


def uptime_s():
    """Seconds since boot; to be called at least once in six days."""
    now = ticks_ms()
    _uptime[1] += ticks_diff(now, _uptime[0])
    _uptime[0] = now
    return _uptime[1] // 1000


def _days(year, month, day):
    """Days from 1970-01-01 to a date of the Gregorian calendar."""
    if month < 3:
        year -= 1
        month += 12
    return (
        365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
    )


def unix_time():
    """Unix seconds, or None while the clock is not set."""
    year, month, day, _, hours, minutes, seconds, _ = machine.RTC().datetime()
    now = _days(year, month, day) * 86400 + hours * 3600 + minutes * 60 + seconds
    return now if now >= CLOCK_SET_FROM else None


def set_time(unix_s):
    """Set the clock. True if the time was believable and is set."""
    if not CLOCK_SET_FROM <= unix_s < CLOCK_SET_UNTIL:
        return False
    year, month, day, hours, minutes, seconds, weekday, _ = time.gmtime(unix_s - _EPOCH)[:8]
    machine.RTC().datetime((year, month, day, weekday, hours, minutes, seconds, 0))
    return True


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

    def mac(self):
        return self._station.config("mac")
