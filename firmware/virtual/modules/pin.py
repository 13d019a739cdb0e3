"""A pin of the virtual board (`machine.Pin`): there, and without effect. bus.py has pins with something on them.

`{"pins": {"4": "FILE"}}` in `world.json` wires pin 4: its levels go into that file (a FIFO, say) as "0" or "1".
"""

from machine import world


class Pin:
    IN = 1
    OUT = 3
    PULL_UP = 2
    PULL_DOWN = 1

    def __init__(self, number, mode=-1, pull=-1, value=0):
        self._wire = world().get("pins", {}).get(str(number))
        self.value(value)

    def value(self, new=None):
        if new is None:
            return self._value
        self._value = new
        if self._wire:
            # to write and read: that waits for nobody at the other end
            with open(self._wire, "r+b") as wire:
                wire.write(b"01"[new : new + 1])
        return None
