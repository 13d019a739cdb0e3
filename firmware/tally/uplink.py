"""The network below MQTT: Wi-Fi, Ethernet, or one that somebody else brings up. All three say the same:

    up()         None if the network is there, else why not; brings it up in the background, and returns at once
    max_message  bytes that a record may have on this way

Rules
* A network that stays away for long has its interface switched off and on: drivers get stuck.
"""

from micropython import const

from tally import hal

MAX_MESSAGE = const(2048)  # MQTT itself has no limit that a record reaches
SWITCH_EVERY = const(8)  # failures in a row until the interface is switched off and on


class Wifi:
    """The station. On without a name of a network it finds the one that it was told last."""

    max_message = MAX_MESSAGE

    def __init__(self, config):
        self._config = config
        self._radio = hal.Radio()
        self._failures = 0

    def up(self):
        """Raises OSError if the radio does not come on."""
        radio = self._radio
        radio.on()
        if radio.connected():
            self._failures = 0
            return None
        why = "no network: it refuses the password" if radio.refused() else "no network"
        self._failures += 1
        if self._failures % SWITCH_EVERY == 0:
            radio.off()
            radio.on()
        if self._config["wifi_ssid"] is not None:
            radio.join(self._config["wifi_ssid"], self._config["wifi_password"])
        return why


class Given:
    """A network that `boot.py`, or the computer around a virtual board, brings up."""

    max_message = MAX_MESSAGE

    def up(self):
        return None


def uplink(config):
    """The network that the setting `net` names."""
    if config["net"] == "none":
        return Given()
    if config["net"] == "lan":
        from tally.lan import Lan

        return Lan(config)
    return Wifi(config)
