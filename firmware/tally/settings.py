"""What the board's settings may be: `config.json` on flash, checked. Loaded when one is read or changed.

Rules
* Everything has a default but the broker and the network. An unknown name or a value out of range is refused
  as a whole: a board never runs on half of what it was told.
* Passwords go in and never come out: `public` is what may be shown. What can be guessed is not hashed either.
* The file is replaced as one (written beside it, flushed, renamed).
"""

import errno
import json

from micropython import const

from tally import once
from tally.config import ConfigError

PATH = "config.json"
_MAX_TEXT = const(64)
_MAX_BATCH = const(60)
_SECRET = ("wifi_password", "broker_password", "sim_pin", "card_pin")

_MAX_OBJECT = const(512)  # bytes of an object's JSON

# name: (default, smallest, largest) for numbers, (default, longest text) for texts,
# (default, (word, word)) for words, (default, {}) for objects. None is "not set", where that is the default.
SETTINGS = {
    "net": ("wifi", ("wifi", "lan", "modem", "ppp", "none")),
    "lan_args": ({}, {}),
    "modem_args": ({}, {}),
    "sim_pin": (None, 8),
    "key": ("flash", ("flash", "iot-safe", "signit")),
    "card_args": ({}, {}),
    "card_pin": (None, 8),
    "wifi_ssid": (None, 32),
    "wifi_password": (None, _MAX_TEXT),
    "broker_host": (None, _MAX_TEXT),
    "broker_port": (None, 1, 65535),  # 1883, with TLS 8883
    "broker_tls": (0, 0, 1),
    "broker_user": (None, _MAX_TEXT),
    "broker_password": (None, _MAX_TEXT),
    "keepalive_s": (60, 5, 3600),
    "interval_ms": (10000, 100, 86400000),
    "batch": (1, 1, _MAX_BATCH),
    "beacon_every": (64, 4, 100000),  # records
    "journal_kib": (512, 64, 16384),
    "max_message": (2048, 256, 2048),  # bytes that the way to the gateway takes at once
    "ntp_host": (None, _MAX_TEXT),
    "ntp_port": (123, 1, 65535),
    "watchdog_s": (120, 60, 3600),  # 0: none
    "sleep": (0, 0, 1),
    "awake_s": (20, 2, 300),
    "publish_every": (1, 1, 1000),  # records, of a board that sleeps
    "commands": (
        None,
        _MAX_TEXT,
    ),  # names of those that the gateway may give; None: see tally/remote.py
    "led_pin": (None, 0, 63),
    "led_active": (1, 0, 1),
    "sensor": ("tally.chip_sensor", _MAX_TEXT),  # module with a class `Sensor`
    "sensor_args": ({}, {}),
}
_OFF_WITH_0 = ("watchdog_s",)
_SWITCHES = ("sleep", "broker_tls")  # true and false do as well


def check(name, value):
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
        if not isinstance(value, dict) or len(json.dumps(value).encode()) > _MAX_OBJECT:
            raise ConfigError("%s takes an object of up to %d bytes" % (name, _MAX_OBJECT))
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


def load():
    """All settings: those of the file, and the defaults of the others. Raises ConfigError."""
    values = {name: limits[0] for name, limits in SETTINGS.items()}
    try:
        with open(PATH) as file:
            text = file.read()
    except OSError as error:
        if error.args[0] != errno.ENOENT:
            raise  # settings that cannot be read are not those of a new board
        return values
    values.update(take(parse(text)))
    return values


def take(values):
    """Check some settings; them in the form in which they are kept. Raises ConfigError."""
    for name, value in values.items():
        check(name, value)
    return {k: int(v) if k in _SWITCHES else v for k, v in values.items()}


def save(values):
    """Write what differs from its default. Raises OSError."""
    differs = {name: v for name, v in values.items() if v != SETTINGS[name][0]}
    once("files", "replace", PATH, json.dumps(differs))


def change(values, changes):
    """All settings after some are changed, and kept. Raises ConfigError, and OSError, with nothing changed."""
    values = dict(values, **take(changes))
    save(values)
    return values


def public(config):
    """What may be shown: all settings, of a password only whether there is one."""
    shown = {name: config[name] for name in SETTINGS}
    for name in _SECRET:
        shown[name] = config[name] is not None
    return shown


def digest(config):
    """First 16 bytes of SHA-256 over the settings without passwords and network names."""
    from hashlib import sha256

    total = sha256()
    for name in sorted(SETTINGS):
        if name not in _SECRET and name not in ("wifi_ssid", "broker_user"):
            total.update(("%s=%s\n" % (name, _plain(config[name]))).encode())
    return total.digest()[:16]
