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

TLS_PORT = const(8883)
PLAIN_PORT = const(1883)
MAX_OBJECT = const(512)  # bytes of an object's JSON

# name: (default, smallest, largest) for numbers, (default, longest text) for texts,
# (default, (word, word)) for words, (default, {}) for objects. None is "not set", where that is the default.
SETTINGS = {
    "net": ("wifi", ("wifi", "lan", "none")),
    "lan_args": ({}, {}),
    "wifi_ssid": (None, 32),
    "wifi_password": (None, MAX_TEXT),
    "broker_host": (None, MAX_TEXT),
    "broker_port": (None, 1, 65535),  # 1883, with TLS 8883
    "broker_tls": (0, 0, 1),
    "broker_user": (None, MAX_TEXT),
    "broker_password": (None, MAX_TEXT),
    "keepalive_s": (60, 5, 3600),
    "interval_ms": (10000, 100, 86400000),
    "batch": (1, 1, MAX_BATCH),
    "beacon_every": (64, 4, 100000),  # records
    "journal_kib": (512, 64, 16384),
    "max_message": (2048, 256, 2048),  # bytes that the way to the gateway takes at once
    "ntp_host": (None, MAX_TEXT),
    "ntp_port": (123, 1, 65535),
    "watchdog_s": (120, 60, 3600),  # 0: none
    "sleep": (0, 0, 1),
    "awake_s": (20, 2, 300),
    "publish_every": (1, 1, 1000),  # records, of a board that sleeps
    "led_pin": (None, 0, 63),
    "led_active": (1, 0, 1),
    "sensor": ("tally.chip_sensor", MAX_TEXT),  # module with a class `Sensor`
    "sensor_args": ({}, {}),
}
_OFF_WITH_0 = ("watchdog_s",)
_SWITCHES = ("sleep", "broker_tls")  # true and false do as well


class ConfigError(Exception):
    """A setting is unknown or out of range."""


def _check(name, value):
    if name not in SETTINGS:
        raise ConfigError("no setting %r" % name)
    limits = SETTINGS[name]
    if value is None and limits[0] is None:
        return
    if len(limits) == 3:
        if name in _SWITCHES and value in (True, False):
            return
        if isinstance(value, int) and not isinstance(value, bool):
            if limits[1] <= value <= limits[2] or (value == 0 and name in _OFF_WITH_0):
                return
        off = "0 or " if name in _OFF_WITH_0 else ""
        raise ConfigError("%s takes %sa number from %d to %d" % (name, off, limits[1], limits[2]))
    limit = limits[1]
    if isinstance(limit, tuple):
        if value not in limit:
            raise ConfigError("%s takes one of %s" % (name, " ".join(limit)))
    elif isinstance(limit, dict):
        if not isinstance(value, dict) or len(json.dumps(value).encode()) > MAX_OBJECT:
            raise ConfigError("%s takes an object of up to %d bytes" % (name, MAX_OBJECT))
    elif not (isinstance(value, str) and 0 < len(value.encode()) <= limit):
        raise ConfigError("%s takes a text of 1 to %d bytes" % (name, limit))


def _plain(value):
    """A text that is the same for equal values: the order of a dictionary is left to chance."""
    if isinstance(value, dict):
        return "{%s}" % ",".join([k + ":" + _plain(value[k]) for k in sorted(value)])
    if isinstance(value, (list, tuple)):
        return "[%s]" % ",".join([_plain(item) for item in value])
    return repr(value)


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
        for name in _SWITCHES:
            if name in values:
                values[name] = int(values[name])
        self._values.update(values)

    def __getitem__(self, name):
        value = self._values.get(name, SETTINGS[name][0])
        if value is None and name == "broker_port":
            return TLS_PORT if self["broker_tls"] else PLAIN_PORT
        return value

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
        lines = ["%s=%s\n" % (name, _plain(self[name])) for name in sorted(SETTINGS) if name not in hidden]
        return sha256("".join(lines).encode()).digest()[:16]
