"""Prints, as JSON, what Wi-Fi and Ethernet say while there is no network, and when it comes."""

import json

import network
from tally import uplink


class Settings(dict):
    pass


class Station:
    def __init__(self):
        self.switched = 0
        self.up = False
        self.why = network.STAT_NO_AP_FOUND

    def active(self, on=None):
        if on is False:
            self.switched += 1
        return True

    def connect(self, ssid, password):
        raise OSError("the last attempt still runs")

    def isconnected(self):
        return self.up

    def status(self):
        return self.why


class Port(Station):
    def __init__(self, **facts):
        super().__init__()
        given.update({name: type(v).__name__ if name == "mdc" else v for name, v in facts.items()})


given = {}
station = Station()
network.WLAN = lambda interface: station
facts = {}
settings = Settings(net="wifi", wifi_ssid="site", wifi_password="secret", lan_args={})
wifi = uplink.uplink(settings)
facts["wifi"] = [wifi.up(failures) for failures in range(16)]
facts["switched"] = station.switched
station.why = network.STAT_WRONG_PASSWORD
facts["refused"] = wifi.up(0)
station.up = True
facts["back"] = wifi.up(0)
settings["net"] = "lan"
try:
    facts["no lan"] = uplink.uplink(settings).up(0)
except OSError as error:
    facts["no lan"] = str(error)
network.LAN = Port
network.PHY_LAN8720 = 7
settings["lan_args"] = {"mdc": 23, "phy_type": "PHY_LAN8720", "phy_addr": 1}
lan = uplink.uplink(settings)
facts["lan"] = [lan.up(0)]
lan.port.up = True
facts["lan"].append(lan.up(0))
facts["lan_args"] = given
settings["net"] = "none"
facts["none"] = uplink.uplink(settings).up(0)
print(json.dumps(facts))
