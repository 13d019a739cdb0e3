"""The rest of the virtual board's `machine`: what the agent needs at an end, or never."""

import json
import sys

from machine import state

STATUS_RESET = 64
STATUS_DEEPSLEEP = 65

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
SOFT_RESET = 5


def _end(status, cause, wake_ms):
    state["cause"] = cause
    state["wake_ms"] = wake_ms
    with open("../reset.json", "w") as file:
        json.dump(state, file)
        file.flush()
    sys.exit(status)


def hard_reset():
    _end(STATUS_RESET, HARD_RESET, 0)


def deepsleep(time_ms=0):
    _end(STATUS_DEEPSLEEP, __import__("machine").DEEPSLEEP_RESET, time_ms)


def freq():
    return 240000000
