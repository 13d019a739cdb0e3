"""The network on the cable, with the interface of tally/uplink.py. Loaded only where the setting `net` says so."""

from tally import hal
from tally.uplink import MAX_MESSAGE, SWITCH_EVERY


class Lan:
    """The Ethernet port."""

    max_message = MAX_MESSAGE

    def __init__(self, config):
        self._config = config
        self._port = None
        self._failures = 0

    def up(self):
        """Raises OSError if there is no such port."""
        if self._port is None:
            self._port = hal.lan(self._config["lan_args"])
            self._port.active(True)
        if self._port.isconnected():
            self._failures = 0
            return None
        self._failures += 1
        if self._failures % SWITCH_EVERY == 0:
            self._port.active(False)
            self._port.active(True)
        return "no network on the cable"
