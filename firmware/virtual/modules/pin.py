"""A pin of the virtual board (`machine.Pin`): there, and without effect. bus.py has pins with something on them."""


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
