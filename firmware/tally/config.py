"""The board's settings as they are in force; tally/settings.py says what they may be."""

from micropython import const

from tally import once

MAX_VALUES = const(200)  # readings times channels in one record
_TLS_PORT = const(8883)
_PLAIN_PORT = const(1883)


class ConfigError(Exception):
    """A setting is unknown or out of range."""


class Config:
    """Get one by config["name"]. `changed` counts the changes. Raises ConfigError if the file is damaged."""

    def __init__(self):
        self.values = once("settings", "load")
        self._digest = None
        self.changed = 0

    def __getitem__(self, name):
        value = self.values[name]
        if value is None and name == "broker_port":
            return _TLS_PORT if self["broker_tls"] else _PLAIN_PORT
        return value

    def set(self, **values):
        """Change settings and keep them. Raises ConfigError, and OSError, with nothing changed."""
        self.values = once("settings", "change", self.values, values)
        self._digest = None
        self.changed += 1

    def complete(self):
        """Whether the board knows where to connect to."""
        return self["broker_host"] is not None

    def digest(self):
        """16 bytes that change with the settings (not with passwords and network names)."""
        if self._digest is None:
            self._digest = once("settings", "digest", self)
        return self._digest
