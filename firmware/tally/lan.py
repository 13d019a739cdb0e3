"""The network on the cable, with the interface of tally/uplink.py. Loaded only where the setting `net` says so."""

import machine
import network

from tally.uplink import MAX_MESSAGE, SWITCH_EVERY


def _port(arguments):
    """The Ethernet port. arguments: of the setting `lan_args`; pins by number, the PHY by its name in `network`.
    Raises OSError where there is no such port."""
    facts = {}
    for name, value in arguments.items():
        if name in ("mdc", "mdio", "power", "ref_clk", "reset"):
            value = machine.Pin(value)
        elif isinstance(value, str):
            value = getattr(network, value, None)
        facts[name] = value
    try:
        return network.LAN(**facts)
    except (AttributeError, TypeError, ValueError) as error:
        raise OSError("no Ethernet: %r" % error) from None


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
            self._port = _port(self._config["lan_args"])
            self._port.active(True)
        if self._port.isconnected():
            self._failures = 0
            return None
        self._failures += 1
        if self._failures % SWITCH_EVERY == 0:
            self._port.active(False)
            self._port.active(True)
        return "no network on the cable"
