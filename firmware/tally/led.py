"""One light that says how the board is. docs/field-guide.md has the table for people.

A pattern is a list of milliseconds: on, off, on, off ... and again. A long blink (LONG) counts tens of trouble, short
ones (SHORT) count which; a pause (PAUSE) ends the group. Without trouble the light is a short flash now and then.
"""

from micropython import const

from tally import hal

SHORT = const(150)
LONG = const(700)
PAUSE = const(1600)


def _group(long, short):
    """So many long blinks, then so many short ones, then a pause."""
    pattern = []
    for length in [LONG] * long + [SHORT] * short:
        pattern += [length, 250]
    pattern[-1] = PAUSE
    return pattern


# state: what the light does; the first that holds is shown (tally/light.py)
PATTERNS = {
    "booting": [1000, 0],
    "ready": [60, 4940],
    "queueing": [60, 200, 60, 4680],
    "waiting": [500, 500],
    "identify": [100, 100],
    "no network": _group(0, 2),
    "no broker": _group(0, 3),
    "login": _group(0, 4),
    "certificate": _group(0, 5),
    "no clock": _group(0, 6),
    "no grant": _group(1, 1),
    "refused": _group(1, 2),
    "halted": _group(2, 1),
    "storage": _group(2, 2),
    "fault": _group(2, 3),
    "sensor": _group(1, 3),
    "no sensor": _group(1, 4),
    "sleeping": [0, 1000],
}


class Led:
    """One pin. Loaded only on a board that has one."""

    def __init__(self, pin, active):
        """pin: number. active: level at which it is lit."""
        self._active = active
        self._pin = hal.output(pin, 1 - active)
        self._state = None
        self._index = 0
        self._since = 0
        self.show("booting")

    def show(self, state):
        """Show this state from now on, and keep its rhythm; to be called often."""
        now = hal.ticks_ms()
        pattern = PATTERNS[state]
        if state != self._state:
            self._state, self._index, self._since = state, 0, now
        else:
            moved = 0
            while hal.ticks_diff(now, self._since) >= pattern[self._index] and moved < len(pattern):
                self._since = hal.ticks_add(self._since, pattern[self._index])
                self._index = (self._index + 1) % len(pattern)
                moved += 1
            if moved == len(pattern):
                self._since = now  # nobody called for long: begin anew
        lit = self._index % 2 == 0 and pattern[self._index]
        self._pin.value(self._active if lit else 1 - self._active)
