"""A file system of the virtual board that fails when a tester says so. Loaded if `world.json` has
`storage` at the start.

{"storage": "good"}             nothing fails
{"storage": "flash full"}       nothing more can be written; "flash read-only": the same, with another number
{"storage": "flash broken"}     settings and journal cannot be read either
{"storage": "flash worn"}       what an update writes cannot be written, all else can
{"storage": ..., "flash_kib": 700}    the flash has this size, and what lies in it takes its part
{"storage": "nvs full"}, {"storage": "nvs broken"}    see esp32.py
"""

import builtins
import io
import os
import sys

from machine import world

_ERRORS = {"flash full": 28, "flash read-only": 30, "flash broken": 5}
_OF_UPDATES = ("b/", "update/")
_FOLDER = 0x4000
_BLOCK = 4096
_open = builtins.open


def _check(name=""):
    trouble = world()["storage"]
    worn = trouble == "flash worn" and name.startswith(_OF_UPDATES)
    number = 5 if worn else _ERRORS.get(trouble)
    if number:
        raise OSError(number)


def _taken(folder):
    """Blocks that the files below a folder take."""
    blocks = 0
    for entry in os.ilistdir(folder):
        path = folder + "/" + entry[0]
        blocks += _taken(path) if entry[1] == _FOLDER else -(-os.stat(path)[6] // _BLOCK)
    return blocks


class _Os:
    """The module `os`, with a flash of another size."""

    def __getattr__(self, name):
        return getattr(os, name)

    def statvfs(self, path):
        total = world().get("flash_kib", 2048) * 1024 // _BLOCK
        return _BLOCK, _BLOCK, total, max(0, total - _taken("."))


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
        _check(name)
        return _File(_open(name, mode))
    if world()["storage"] == "flash broken" and not name.endswith(("py", "mpy")):
        raise OSError(5)
    return _open(name, mode)


builtins.open = _opened
if "flash_kib" in world():
    sys.modules["os"] = _Os()
