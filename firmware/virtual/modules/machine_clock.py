"""Setting the clock of the virtual board."""

import sys
import time

from machine import state


def set_clock(new):
    """new: as `RTC.datetime` gives it."""
    year, month, day, _, hours, minutes, seconds, _ = new
    if month < 3:
        year, month = year - 1, month + 12
    days = 365 * year + year // 4 - year // 100 + year // 400
    days += (153 * month - 457) // 5 + day - 719469
    state["offset"] = days * 86400 + hours * 3600 + minutes * 60 + seconds - int(time.time())
    del sys.modules["machine_clock"]
