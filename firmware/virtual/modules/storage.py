"""A file system of the virtual board that fails when a tester says so. Loaded if `world.json` has
`storage` at the start.

{"storage": "good"}             nothing fails
{"storage": "flash full"}       nothing more can be written; "flash read-only": the same, with another number
{"storage": "flash broken"}     settings and journal cannot be read either
{"storage": "nvs full"}, {"storage": "nvs broken"}    see esp32.py
"""

import builtins
import io

from machine import world

_ERRORS = {"flash full": 28, "flash read-only": 30, "flash broken": 5}
_open = builtins.open


def _check():
    number = _ERRORS.get(world()["storage"])
    if number:
        raise OSError(number)


class _File(io.IOBase):
    """A file that is written to."""

    def __init__(self, file):
        self._file = file

    def write(self, data):
        _check()
        return self._file.write(data)

    def flush(self):
        self._file.flush()

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()


def _opened(name, mode="r"):
    if name.startswith("../"):
        return _open(name, mode)  # the world around the board
    if "w" in mode or "a" in mode:
        _check()
        return _File(_open(name, mode))
    if world()["storage"] == "flash broken" and not name.endswith(("py", "mpy")):
        raise OSError(5)
    return _open(name, mode)


builtins.open = _opened
