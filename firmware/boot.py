"""Runs first after a reset. No update over the air brings another one, nor another main.py. The radio stays off.

1. On a locked board Ctrl-C does nothing from here on.
2. Which agent runs: the one that lies in `/`, or the one in `/b` (docs/format.md, 6.1). A number in non-volatile
   storage says so: bit 0 which of the two is good (1: /b), above it
       0 nothing else   1 the other one failed, and its event is due   7 it proved itself, and its event is due
       2 to 6 the other one is on trial, and has so many starts less one
   A start on trial is counted before anything of the new agent is touched. A new MicroPython is on trial, too: then
   the bootloader counts.
3. A trial is bounded whatever the new agent does: the watchdog ends it if it hangs, a timer if nobody is heard of.
"""

import os
import sys

_HANGS_MS = 120000
_SILENT_MS = 900000

if "locked" in os.listdir():
    import micropython

    micropython.kbd_intr(-1)


def _choose():
    import esp32
    import machine

    store = esp32.NVS("tally")

    def number(key):
        try:
            return store.get_i32(key)
        except OSError:
            return 0  # as it was provisioned

    place, image = number("place"), number("image")
    trial = 1 < place >> 1 < 7
    if trial:
        try:
            store.set_i32("place", place - 2)
            store.commit()
            place ^= 1
        except OSError:
            trial = False  # what cannot be counted is not tried
    elif image & 3 == 2:
        trial = esp32.Partition(esp32.Partition.RUNNING).info()[1] == image >> 2
    if trial:
        machine.WDT(timeout=_HANGS_MS)
        machine.Timer(0).init(
            mode=machine.Timer.ONE_SHOT, period=_SILENT_MS, callback=lambda _: machine.reset()
        )
    if place & 1 and "b" in os.listdir():
        # what was verified lies there: nothing is made up for out of the other one's `lib`
        sys.path[:] = ["b", "b/lib"] + [one for one in sys.path if not one.endswith("lib")]


_choose()
