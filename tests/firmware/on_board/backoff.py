"""Prints, as JSON, the milliseconds between the tries of a link whose broker is away. No time passes."""

import json

import tally
from tally import connect, hal, link


class Settings:
    values = {"net": "none", "broker_host": "127.0.0.1", "broker_port": 1, "broker_tls": 0}

    def __getitem__(self, name):
        return self.values.get(
            name, 60 if name == "keepalive_s" else 2048 if name == "max_message" else None
        )


now = [1000]
tries = []
hal.ticks_ms = lambda: now[0]


def away(*arguments):
    tries.append(now[0])
    raise OSError(111)


connect.dial = away
tally.unload = lambda *names: None  # the module that was changed stays
one = link.Link(Settings(), None, "00" * 8, None, lambda text: None)
while len(tries) < 13:
    one.poll()
    now[0] += 50
print(json.dumps([b - a for a, b in zip(tries, tries[1:])]))
