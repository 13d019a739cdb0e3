"""The Wi-Fi station of the virtual board: in its air is the network of the host. network_rest.py has the cable.

`world.json` changes the air while the board runs: `{"radio": "broken"}` and the radio does not come on,
`{"radio": "off"}` and there is no network, `{"password": "..."}` and only that password lets one in.

Rules
* Nothing is connected before `active(True)`; `connect` on a station that is off is an error, as documented.
* A station that was never told a network finds the host's: so a board runs without a `wifi` setting.
"""

from machine import world
from micropython import const

STA_IF = 0
STAT_WRONG_PASSWORD = 202

_IDLE = const(1000)
_GOT_IP = const(1010)
_NO_AP_FOUND = const(201)
_WRONG_PASSWORD = const(202)
_NOT_STARTED = const((0x3002, "Wifi Not Started"))


def __getattr__(name):
    return getattr(__import__("network_rest"), name)


class _Station:
    _active = False
    _password = None

    def active(self, on=None):
        if on is not None:
            self._active = bool(on) and world().get("radio") != "broken"
        return self._active

    def connect(self, ssid=None, key=None):
        if not self._active:
            raise OSError(*_NOT_STARTED)
        self._password = key

    def disconnect(self):
        self._password = None

    def status(self):
        if not self._active:
            return _IDLE
        air = world()
        if air.get("radio") == "off":
            return _NO_AP_FOUND
        if "password" in air and air["password"] != self._password:
            return _WRONG_PASSWORD
        return _GOT_IP

    def isconnected(self):
        return self.status() == _GOT_IP


_station = _Station()


def WLAN(interface=STA_IF):
    """The station: there is one, as in the chip."""
    if interface != STA_IF:
        raise ValueError("the virtual board is no access point")
    return _station
