"""Prints, as JSON, the level of the pin every 10 ms of a clock that only this script moves."""

import json

from tally import hal, led

now = [0]
hal.ticks_ms = lambda: now[0]


class Pin:
    def __init__(self, value):
        self.level = value

    def value(self, level):
        self.level = level


def levels(active, count):
    pin = Pin(1 - active)
    hal.output = lambda number, value: pin
    light = led.Led(2, active)
    seen = []
    for _ in range(count):
        light.show("no network")
        seen.append(pin.level)
        now[0] += 10
    return seen, light, pin


facts = {}
facts["no network"] = levels(1, 220)[0]
seen, light, pin = levels(0, 40)
facts["active low"] = seen
now[0] += 3600000
light.show("no network")
facts["after a long stop"] = pin.level
print(json.dumps(facts))
