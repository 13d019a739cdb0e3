"""Non-volatile storage of the virtual board, with the limits of the ESP32's (`esp32.NVS`).

One file, `nvs.json`, beside the folder that is the board's flash: it survives the loss of the file system,
as the real partition does.

Rules
* Integers of 32 bits and blobs; a key has at most 15 characters; a buffer that is too small is an error.
* What was set and not committed is lost when the board is killed. `commit` replaces the file as one.
* Errors are OSError with the numbers and names of ESP-IDF. `world.json` makes some: `{"storage": "nvs full"}` or
  `"nvs broken"` takes nothing more.
* The partitions (partition.py) are loaded when they are asked for.
"""

import json
import os

from machine import world
from micropython import const

_PATH = const("../nvs.json")
_MAX_KEY = const(15)
_MAX_BLOB = const(4000)
_NOT_FOUND = const((-4354, "ESP_ERR_NVS_NOT_FOUND"))
_KEY_TOO_LONG = const((-4361, "ESP_ERR_NVS_KEY_TOO_LONG"))
_INVALID_LENGTH = const((-4364, "ESP_ERR_NVS_INVALID_LENGTH"))
_FULL = const((-4357, "ESP_ERR_NVS_NOT_ENOUGH_SPACE"))
_VALUE_TOO_LONG = const((-4366, "ESP_ERR_NVS_VALUE_TOO_LONG"))


def _load():
    try:
        with open(_PATH) as file:
            return json.load(file)
    except OSError:
        return {}


class NVS:
    """A name space. It holds in memory only what is not committed yet, as the real one does."""

    def __init__(self, namespace):
        if len(namespace) > _MAX_KEY:
            raise OSError(*_KEY_TOO_LONG)
        self._namespace = namespace
        self._changes = {}  # key: value, or None if erased

    def _find(self, key):
        if key in self._changes:
            return self._changes[key]
        return _load().get(self._namespace, {}).get(key)

    def _get(self, key, kind):
        value = self._find(key)
        if value is None or isinstance(value, str) != (kind is str):
            raise OSError(*_NOT_FOUND)
        return value

    def _set(self, key, value):
        trouble = world().get("storage", "")
        if trouble == "nvs full":
            raise OSError(*_FULL)
        if trouble == "nvs broken":
            raise OSError(5)
        if len(key) > _MAX_KEY:
            raise OSError(*_KEY_TOO_LONG)
        self._changes[key] = value

    def set_i32(self, key, value):
        # the real one truncates silently; whoever relies on that should see it here
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError("value does not fit into 32 bits")
        self._set(key, value)

    def get_i32(self, key):
        return self._get(key, int)

    def set_blob(self, key, value):
        if len(value) > _MAX_BLOB:
            raise OSError(*_VALUE_TOO_LONG)
        self._set(key, bytes(value).hex())

    def get_blob(self, key, buffer):
        value = bytes.fromhex(self._get(key, str))
        if len(value) > len(buffer):
            raise OSError(*_INVALID_LENGTH)
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        if self._find(key) is None:
            raise OSError(*_NOT_FOUND)
        self._changes[key] = None

    def commit(self):
        everything = _load()
        entries = everything.setdefault(self._namespace, {})
        for key, value in self._changes.items():
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
        with open(_PATH + "~", "w") as file:
            json.dump(everything, file)
            file.flush()  # down to the disk: the port's flush is fsync
        os.rename(_PATH + "~", _PATH)
        self._changes = {}


def __getattr__(name):
    if name != "Partition":
        raise AttributeError(name)
    from partition import Partition

    return Partition
