"""Prints, as JSON, what the position sensor makes of each answer of a modem; and of one that nobody has woken.

micropython gnss.py FOLDER-WITH-firmware LINE...
"""

import json
import sys

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/virtual/modules"]

from modem import cell
from modem.at import AtError
from sensors.gnss import Sensor


class At:
    doubt = False
    line = ""
    asked = 0

    def command(self, text, limit_ms, info=None):
        At.asked += 1
        if info is None:
            raise AtError("ERROR")
        return [self.line[len(info) :]] if self.line else []


class Modem:
    at = At()
    routed = True
    wakes = 0

    def awake(self):
        Modem.wakes += 1
        if Modem.wakes < 3:
            return "no network: the modem does not answer, switching it on"
        At.doubt = False
        return None


cell._cells.append(Modem())
read = []
for At.line in sys.argv[2:]:
    Modem.model = "SIM7000" if At.line.startswith("+CGNSINF") else "SIM7600"
    read.append(Sensor().read())

# a modem that is off
At.line = sys.argv[5]
At.doubt = True
sensor = Sensor()
asked = At.asked
through_it = [sensor.read() for _ in range(100)], Modem.wakes, At.asked - asked
Modem.routed = False
nobody_else = [sensor.read() for _ in range(100)]
print(json.dumps([read, through_it[1:], [Modem.wakes, nobody_else[58:62]]]))
