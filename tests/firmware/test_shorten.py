"""What the build does to names: a program that was shortened does what it did before.

If these fail, an agent breaks where no test of its source can see it.
"""

from __future__ import annotations

import ast
from typing import Any

from firmware.fold import fold
from firmware.shorten import shorten

SOURCE = """
def const(value):
    return value

_NOT_STARTED = const((7, "not started"))
_LIMIT = const(3)

class Station:
    _active = False
    _network = None

    def __init__(self, name):
        self._name = name
        self._tries = 0

    def connect(self, network, again=False):
        if not self._active:
            return _NOT_STARTED
        self._tries += 1
        self._network = network
        return self._told(again=again)

    def _told(self, again):
        return self._name, self._network, self._tries, again and self._tries < _LIMIT

    def on(self, active=True):
        self._active = active
"""


def run(text: str) -> list[Any]:
    """What a station answers, one thing after the other."""
    scope: dict[str, Any] = {}
    exec(text, scope)
    station = scope["Station"]("roof")
    # by position: what calls from outside the program does not name its arguments
    said = [station.connect("home")]
    station.on(1)
    said += [station.connect("home", 1) for _ in range(4)]
    return said


def test_a_shortened_program_does_what_it_did() -> None:
    """Attributes that a class binds, constants, arguments by name, and methods that begin with an underscore."""
    trees = {"tally/station": ast.parse(SOURCE)}
    fold(trees)
    shorten(trees, lambda _: True)
    text = ast.unparse(trees["tally/station"])
    assert "_tries" not in text
    assert "_told" not in text
    assert run(text) == run(SOURCE)


def test_what_a_class_binds_keeps_its_name() -> None:
    """MicroPython puts a constant of the module where a name of the class stands, if they are called alike."""
    trees = {"tally/station": ast.parse(SOURCE)}
    shorten(trees, lambda _: True)
    text = ast.unparse(trees["tally/station"])
    assert "_active = False" in text
    assert "self._active" in text
