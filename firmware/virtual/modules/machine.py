"""The chip of the virtual board: its number, its clock, its resets (`machine` of MicroPython's ESP32 port).

Rules
* The clock is that of a board without a battery: after power-on it counts from 2000-01-01. With
  `{"clock": "host"}` in `world.json` it is the clock of the host, as with a battery; `{"clock_jump_s": n}`
  moves it by n seconds, as a bad crystal or a wrong time server would.
* `reset` and `deepsleep` end the process with a status of their own; what survives (RTC memory, the clock,
  the cause) waits in `reset.json` for the next start. A killed process is a power cut: nothing survives.
* A real chip is not on the heap: what is rare stands in modules of its own, which are loaded when they are asked for
  (pin.py, timer.py, uart.py, wdt.py, machine_rest.py).
"""

import json
import os
import time

from micropython import const

BOARD = "Tallystick virtual board (simulator)"
DEEPSLEEP_RESET = 4

_PWRON_RESET = const(1)
_YEAR_2000 = const(946684800)
_WORLD = const("../world.json")
_RESET = const("../reset.json")
_ID = const("../unique_id")
_MEMORY_BYTES = const(2048)

try:
    with open(_RESET) as _file:
        state = json.load(_file)
    os.remove(_RESET)
except (OSError, ValueError):
    state = {}
# what to add to the host's Unix seconds to have those of the board
if "offset" not in state:
    state["offset"] = _YEAR_2000 - int(time.time())


def world():
    """What the tester has put into `world.json`: {} if nothing."""
    try:
        with open(_WORLD) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}  # none, or just being written


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
    return state.get("cause", _PWRON_RESET)


def reset():
    __import__("machine_rest").hard_reset()


def __getattr__(name):
    module = name.lower() if name in ("Pin", "Timer", "UART", "WDT") else "machine_rest"
    return getattr(__import__(module), name)


class RTC:
    def datetime(self, new=None):
        """(year, month, day, weekday, hours, minutes, seconds, subseconds)"""
        if new is not None:
            return __import__("machine_clock").set_clock(new)
        around = world()
        offset = 0 if around.get("clock") == "host" else state["offset"]
        offset += around.get("clock_jump_s", 0)
        year, month, day, hours, minutes, seconds, weekday, _ = time.gmtime(
            int(time.time()) + offset
        )[:8]
        micros = time.time_ns() // 1000 % 1000000
        return year, month, day, weekday, hours, minutes, seconds, micros

    def memory(self, data=None):
        """2048 bytes that survive `reset` and `deepsleep`."""
        if data is None:
            return bytes.fromhex(state.get("memory", ""))
        if len(data) > _MEMORY_BYTES:
            raise ValueError("buffer too long")
        state["memory"] = bytes(data).hex()
        return None
