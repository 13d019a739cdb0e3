"""The rest of the virtual board's `network`: states of the station, and the Ethernet port.

At the other end of the cable is the network of the host; `{"cable": "out"}` in `world.json` pulls it. The port is that
of an ESP32 with a PHY outside: without `mdc`, `mdio` and a PHY that exists there is none.
"""

from machine import world

STAT_IDLE = 1000
STAT_GOT_IP = 1010
STAT_NO_AP_FOUND = 201

PHY_LAN8710 = 0
PHY_LAN8720 = 0
PHY_IP101 = 1
PHY_RTL8201 = 2
PHY_DP83848 = 3
PHY_KSZ8041 = 4
PHY_KSZ8081 = 5

_ETH_INITIALIZED = 0
_ETH_STARTED = 1
_ETH_GOT_IP = 5


class LAN:
    def __init__(
        self,
        id=0,
        *,
        mdc=None,
        mdio=None,
        power=None,
        reset=None,
        phy_addr=None,
        phy_type=None,
        ref_clk=None,
        ref_clk_mode=None,
    ):
        if id != 0:
            raise ValueError("invalid LAN interface identifier")
        if mdc is None or mdio is None:
            raise ValueError("MDC and MDIO pins must be specified")
        if phy_addr is None or not 0 <= phy_addr <= 31:
            raise ValueError("invalid phy address")
        if phy_type not in range(6):
            raise ValueError("invalid phy type")
        self._active = False

    def active(self, on=None):
        if on is not None:
            self._active = bool(on)
        return self._active

    def status(self):
        if not self._active:
            return _ETH_INITIALIZED
        return _ETH_STARTED if world().get("cable") == "out" else _ETH_GOT_IP

    def isconnected(self):
        return self.status() == _ETH_GOT_IP
