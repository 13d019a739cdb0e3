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
    """The Ethernet port: made once, there is one."""

    max_message = MAX_MESSAGE
    port = None

    def __init__(self, config):
        self._config = config

    def up(self, failures):
        """Raises OSError if there is no such port."""
        if Lan.port is None:
            Lan.port = _port(self._config["lan_args"])
            Lan.port.active(True)
        if Lan.port.isconnected():
            return None
        if failures % SWITCH_EVERY == SWITCH_EVERY - 1:
            Lan.port.active(False)
            Lan.port.active(True)
        return "no network on the cable"
