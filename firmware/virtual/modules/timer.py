"""The timers of the virtual board (`machine.Timer`).

A callback runs in a thread of its own, as a chip's runs between two steps of the program; one that resets ends the
process. `{"timer_ms": 500}` in `world.json` makes timers impatient.
"""

import _thread
import time

from machine import world

_running = {}


class Timer:
    """id: a number; two objects with one number are one timer."""

    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, id):
        self._id = id

    def init(self, *, mode=PERIODIC, period=-1, callback=None):
        """period: ms."""
        mark = _running[self._id] = object()
        _thread.start_new_thread(_tick, (self._id, mark, mode, period, callback))

    def deinit(self):
        _running.pop(self._id, None)


def _tick(number, mark, mode, period, callback):
    start = time.ticks_ms()
    while _running.get(number) is mark:
        time.sleep_ms(20)
        if time.ticks_diff(time.ticks_ms(), start) < world().get("timer_ms", period):
            continue
        try:
            callback(Timer(number))
        except SystemExit as ended:
            import ffi

            ffi.open(None).func("v", "_exit", "i")(ended.args[0])
        start = time.ticks_ms()
        if mode == Timer.ONE_SHOT:
            return
