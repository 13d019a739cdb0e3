"""The network below MQTT: Wi-Fi, Ethernet, a modem, or one that somebody else brings up. All say the same:

    up(failures)  None if the network is there, else why not; brings it up in the background, and returns at once.
                  failures: attempts in a row that it was not there. Raises OSError where there is no such interface
    max_message   bytes that a record may have on this way

Rules
* A network that stays away for long has its interface switched off and on: drivers get stuck.
* Loaded for an attempt to connect, and forgotten after it: nothing here remembers anything.
"""

import network
from micropython import const

MAX_MESSAGE = const(2048)  # MQTT itself has no limit that a record reaches
SWITCH_EVERY = const(8)  # failures in a row until the interface is switched off and on


class Radio:
    """Switched on, it also feeds the hardware's random number generator."""

    def __init__(self):
        self._station = network.WLAN(network.STA_IF)
        self._refusal = getattr(network, "STAT_WRONG_PASSWORD", None)

    def on(self):
        """Power the radio. Raises OSError where it cannot."""
        self._station.active(True)
        if not self._station.active():
            raise OSError("radio stays off")

    def off(self):
        self._station.active(False)

    def join(self, ssid, password):
        """Start to join a network; returns at once."""
        try:
            self._station.connect(ssid, password)
        except OSError:
            # The driver refuses while an earlier attempt still runs: that attempt goes on.
            return

    def connected(self):
        return self._station.isconnected()

    def refused(self):
        """Whether the network does not take the password."""
        return self._refusal is not None and self._station.status() == self._refusal


class Wifi:
    """The station. On without a name of a network it finds the one that it was told last."""

    max_message = MAX_MESSAGE

    def __init__(self, config):
        self._config = config

    def up(self, failures):
        """Raises OSError if the radio does not come on."""
        radio = Radio()
        radio.on()
        if radio.connected():
            return None
        why = "no network: it refuses the password" if radio.refused() else "no network"
        if failures % SWITCH_EVERY == SWITCH_EVERY - 1:
            radio.off()
            radio.on()
        if self._config["wifi_ssid"] is not None:
            radio.join(self._config["wifi_ssid"], self._config["wifi_password"])
        return why


class Given:
    """A network that `boot.py`, or the computer around a virtual board, brings up."""

    max_message = MAX_MESSAGE

    def up(self, failures):
        return None


def uplink(config):
    """The network that the setting `net` names."""
    if config["net"] == "none":
        return Given()
    if config["net"] == "lan":
        from tally.lan import Lan

        return Lan(config)
    if config["net"] == "modem":
        from modem.uplink import Modem

        return Modem(config)
    if config["net"] == "ppp":
        from modem.ppp import Ppp

        return Ppp(config)
    return Wifi(config)


def up(config, failures):
    """Of the network that the setting `net` names."""
    return uplink(config).up(failures)
