"""The watchdog of the virtual board (`machine.WDT`).

It bites: unless it is fed in time, the process ends by SIGALRM, wherever it hangs; clock and RTC memory are lost then,
as at a power cut. `{"watchdog_ms": 500}` in `world.json` makes it impatient.
"""

from struct import pack

from machine import world


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
