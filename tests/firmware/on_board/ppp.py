"""Prints, as JSON, how a modem becomes a network interface, against a double of `network.PPP`.

micropython ppp.py FOLDER-WITH-firmware
"""

import json
import sys

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/virtual/modules"]

import network
from modem import cell, ppp, who
from modem.at import AtError
from tally import hal

facts = {}
done = []
now = [0]


def pass_by(ms):
    now[0] += ms


hal.uptime_ms = lambda: now[0]
hal.sleep_ms = pass_by
hal.ticks_ms = lambda: now[0]
who.note = lambda config, modem: done.append("who")


class At:
    doubt = False
    answer = None

    def command(self, text, limit_ms, info=None, ends=None):
        done.append(text)
        if self.answer:
            raise AtError(self.answer)


class Modem:
    uart = "the port"
    at = At()
    why = None

    def up(self):
        return self.why

    def lost(self):
        done.append("lost")

    def connected(self):
        done.append("connected")

    def write(self, data):
        done.append(data.decode())


class Line:
    there = False

    def __init__(self, uart):
        done.append(uart)

    def active(self, on):
        done.append("active %d" % on)

    def connect(self):
        done.append("connect")

    def disconnect(self):
        done.append("disconnect")
        Line.there = False

    def isconnected(self):
        return Line.there


modem = Modem()
cell._cells.append(modem)
way = ppp.Ppp({})
try:
    way.up(0)
except OSError as error:
    facts["none"] = error.args[0]
network.PPP = Line
modem.why = "no network: searching"
facts["searching"] = way.up(0)
modem.why = None
modem.at.answer = "NO CARRIER"
facts["refused"] = way.up(1)
modem.at.answer = None
done.clear()
facts["dialled"] = [way.up(2), way.up(3)]
facts["steps"] = list(done)
Line.there = True
facts["up"] = way.up(4)
# the line is there, and nothing goes through it
done.clear()
facts["dead"] = [way.up(0) for _ in range(3)]
facts["again"] = list(done)
# a connection that lived, and went
Line.there = True
way.up(0)
now[0] += 400000
done.clear()
facts["lived"] = [way.up(0), list(done)]
Line.there = False
# no address in time
now[0] += 40000
done.clear()
facts["late"] = way.up(2)
facts["late steps"] = done[:3]
print(json.dumps(facts))
