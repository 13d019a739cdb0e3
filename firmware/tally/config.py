"""The board's settings: `config.json` on flash, written by the console, read at a start.

Rules
* Everything has a default but the broker and the network. An unknown name or a value out of range is refused
  as a whole: a board never runs on half of what it was told.
* Passwords go in and never come out: `public` is what may be shown and hashed.
* The file is replaced as one (written beside it, flushed, renamed).
"""

import json
import os

from micropython import const

PATH = "config.json"
MAX_TEXT = const(64)
MAX_BATCH = const(60)
MAX_VALUES = const(200)  # readings times channels in one record
_SECRET = ("wifi_password", "broker_password")

# name: (default, smallest, largest) for numbers, (default, longest text) for texts
SETTINGS = {
    "wifi_ssid": (None, 32),
    "wifi_password": (None, MAX_TEXT),
    "broker_host": (None, MAX_TEXT),
    "broker_port": (1883, 1, 65535),
    "broker_user": (None, MAX_TEXT),
    "broker_password": (None, MAX_TEXT),
    "keepalive_s": (60, 5, 3600),
    "interval_ms": (10000, 100, 86400000),
    "batch": (1, 1, MAX_BATCH),
    "beacon_every": (64, 4, 100000),  # records
    "journal_kib": (512, 64, 16384),
    "sensor": ("tally.chip_sensor", MAX_TEXT),  # module with a class `Sensor`
}


class ConfigError(Exception):
    """A setting is unknown or out of range."""


def _check(name, value):
    if name not in SETTINGS:
        raise ConfigError("no setting %r" % name)
    limits = SETTINGS[name]
    if len(limits) == 3:
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or not limits[1] <= value <= limits[2]
        ):
            raise ConfigError("%s takes a number from %d to %d" % (name, limits[1], limits[2]))
    elif value is not None and not (
        isinstance(value, str) and 0 < len(value.encode()) <= limits[1]
    ):
        raise ConfigError("%s takes a text of 1 to %d bytes" % (name, limits[1]))


def parse(text):
    """The object of a JSON text; raises ConfigError. MicroPython's parser takes an object without its end."""
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise ConfigError("the settings are not a JSON object")
    try:
        return json.loads(text)
    except ValueError:
        raise ConfigError("the settings are not a JSON object") from None


class Config:
    """The settings; get one by config["name"]. `changed` counts the changes."""

    def __init__(self):
        self._values = {}
        self.changed = 0
        try:
            with open(PATH) as file:
                text = file.read()
        except OSError:
            return  # a new board
        self._take(parse(text))

    def _take(self, values):
        for name, value in values.items():
            _check(name, value)
        self._values.update(values)

    def __getitem__(self, name):
        return self._values.get(name, SETTINGS[name][0])

    def set(self, **values):
        """Change settings and keep them."""
        self._take(values)
        self.changed += 1
        with open(PATH + "~", "w") as file:
            json.dump(self._values, file)
            file.flush()
        os.rename(PATH + "~", PATH)

    def complete(self):
        """Whether the board knows where to connect to."""
        return self["broker_host"] is not None

    def public(self):
        """What may be shown: all settings, of a password only whether there is one."""
        shown = {name: self[name] for name in SETTINGS}
        for name in _SECRET:
            shown[name] = self[name] is not None
        return shown

    def digest(self):
        """First 16 bytes of SHA-256 over the settings without passwords and network names: what can be
        guessed is not hashed into the chain."""
        from hashlib import sha256

        hidden = _SECRET + ("wifi_ssid", "broker_user")
        lines = ["%s=%r\n" % (name, self[name]) for name in sorted(SETTINGS) if name not in hidden]
        return sha256("".join(lines).encode()).digest()[:16]
