"""The chip of the virtual board: its number, its clock, its resets (`machine` of MicroPython's ESP32 port).

Rules
* The clock is that of a board without a battery: after power-on it counts from 2000-01-01. With
  `{"clock": "host"}` in `world.json` it is the clock of the host, as with a battery; `{"clock_jump_s": n}`
  moves it by n seconds, as a bad crystal or a wrong time server would.
* `reset` and `deepsleep` end the process with a status of their own; what survives (RTC memory, the clock,
  the cause) waits in `reset.json` for the next start. A killed process is a power cut: nothing survives.
* The watchdog bites: unless it is fed in time, the process ends by SIGALRM, wherever it hangs.
  `{"watchdog_ms": 500}` in `world.json` makes it impatient. Clock and RTC memory are lost then, as at a power cut.
* Pins are there and do nothing: a simulator has nothing to switch. A UART (uart.py) is loaded when it is asked for.
"""

import json
import os
import sys
import time
from struct import pack

from micropython import const

BOARD = "Tallystick virtual board (simulator)"
STATUS_RESET = 64
STATUS_DEEPSLEEP = 65

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

_YEAR_2000 = const(946684800)
_WORLD = const("../world.json")
_RESET = const("../reset.json")
_ID = const("../unique_id")
_MEMORY_BYTES = const(2048)


def world():
    """What the tester has put into `world.json`: {} if nothing."""
    try:
        with open(_WORLD) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}  # none, or just being written


def _survived():
    try:
        with open(_RESET) as file:
            state = json.load(file)
    except (OSError, ValueError):
        return {}
    os.remove(_RESET)
    return state


_state = _survived()
# what to add to the host's Unix seconds to have those of the board
_offset = [_state.get("offset", _YEAR_2000 - int(time.time()))]
_memory = [bytes.fromhex(_state.get("memory", ""))]


def unique_id():
    """Six bytes, drawn once; locally administered, so that no real MAC is imitated."""
    try:
        with open(_ID, "rb") as file:
            return file.read(6)
    except OSError:
        number = b"\x02" + os.urandom(5)
        with open(_ID, "wb") as file:
            file.write(number)
            file.flush()
        return number


def reset_cause():
    return _state.get("cause", PWRON_RESET)


def _end(status, cause, wake_ms):
    state = {"cause": cause, "offset": _offset[0], "memory": _memory[0].hex(), "wake_ms": wake_ms}
    with open(_RESET, "w") as file:
        json.dump(state, file)
        file.flush()
    sys.exit(status)


def reset():
    _end(STATUS_RESET, HARD_RESET, 0)


def deepsleep(time_ms=0):
    _end(STATUS_DEEPSLEEP, DEEPSLEEP_RESET, time_ms)


def freq():
    return 240000000


def __getattr__(name):
    if name != "UART":
        raise AttributeError(name)
    from uart import UART

    return UART


class RTC:
    def datetime(self, new=None):
        """(year, month, day, weekday, hours, minutes, seconds, subseconds)"""
        if new is None:
            around = world()
            offset = 0 if around.get("clock") == "host" else _offset[0]
            offset += around.get("clock_jump_s", 0)
            year, month, day, hours, minutes, seconds, weekday, _ = time.gmtime(
                int(time.time()) + offset
            )[:8]
            micros = time.time_ns() // 1000 % 1000000
            return year, month, day, weekday, hours, minutes, seconds, micros
        year, month, day, _, hours, minutes, seconds, _ = new
        if month < 3:
            year, month = year - 1, month + 12
        days = (
            365 * year
            + year // 4
            - year // 100
            + year // 400
            + (153 * month - 457) // 5
            + day
            - 719469
        )
        _offset[0] = days * 86400 + hours * 3600 + minutes * 60 + seconds - int(time.time())
        return None

    def memory(self, data=None):
        """2048 bytes that survive `reset` and `deepsleep`."""
        if data is None:
            return _memory[0]
        if len(data) > _MEMORY_BYTES:
            raise ValueError("buffer too long")
        _memory[0] = bytes(data)
        return None


class WDT:
    """timeout: ms. The host's timer does what the chip's does: it asks nobody."""

    def __init__(self, id=0, timeout=5000):
        import ffi

        self._timeout = timeout
        self._alarm = ffi.open(None).func("i", "setitimer", "ipp")
        self.feed()

    def feed(self):
        timeout = world().get("watchdog_ms", self._timeout)
        # struct itimerval: no interval, and seconds and microseconds until the signal
        self._alarm(0, pack("llll", 0, 0, timeout // 1000, timeout % 1000 * 1000), None)


class Pin:
    IN = 1
    OUT = 3
    PULL_UP = 2
    PULL_DOWN = 1

    def __init__(self, number, mode=-1, pull=-1, value=0):
        self._value = value

    def value(self, new=None):
        if new is None:
            return self._value
        self._value = new
        return None
