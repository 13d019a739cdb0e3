"""Prints, as JSON, what a board does with a modem that finds no way out, and with PINs that are refused.

micropython cell.py FOLDER-WITH-firmware
"""

import json
import sys

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/virtual/modules"]

import machine
from modem import cell
from modem.at import AtError, Silent
from tally import hal

facts = {}
now = [0]


def pass_by(ms):
    now[0] += ms


hal.uptime_ms = lambda: now[0]
resets = []
hal.reset = lambda: resets.append(now[0])
hal.sleep_ms = pass_by
presses = []


class Pin:
    OUT = 3

    def __init__(self, number, mode=-1, value=0):
        self.value(value)

    def value(self, level):
        if level:
            presses.append([now[0]])
        elif presses and len(presses[-1]) == 1:
            presses[-1].append(now[0] - presses[-1][0])


class Modem:
    """Instead of the AT core: a modem that never gets a connection."""

    def __init__(self):
        self.doubt = False
        self.silent = False
        self.sent = []
        self.pin = None

    def begin(self, tries):
        if self.silent:
            raise Silent("AT")

    def command(self, text, *arguments, **named):
        self.sent.append((now[0], text))
        if text.startswith('+CPIN="') and text != '+CPIN="1234"':
            raise AtError("+CME ERROR: incorrect password")

    def ask(self, text, *arguments):
        if text == "+CPIN?":
            return ["SIM PIN" if self.pin else "READY"]
        return ["0,2"] if "REG" in text else ["17,99"]


machine.Pin = Pin
args = {"power_key": 4, "on_ms": 500, "off_ms": 3000, "start_ms": 1000, "patience_s": 60}
config = {"modem_args": args, "sim_pin": None}
board = cell.Cell(config)
board.at = modem = Modem()
board._alone = 0

# the ladder, by the time without a connection
said = []
while not resets and now[0] < 3600000:
    text = board.up()
    if not said or said[-1] != text:
        said.append(text)
    now[0] += 5000
facts["said"] = said
facts["restarts"] = [when // 1000 for when, text in modem.sent if text == "+CFUN=1,1"]
facts["presses"] = [(when // 1000, held) for when, held in presses]
facts["reset"] = resets[0] // 1000

# a modem that is off, and one that hangs
presses.clear()
board = cell.Cell(config)
board.at = modem = Modem()
modem.silent = True
facts["off"] = board.up()
modem.silent = False
board.up()
modem.silent = True
facts["hangs"] = [board.up(), board.up()]
now[0] += 5000
facts["hangs"].append(board.up())
facts["held"] = [held for _, held in presses]

# PINs
modem.silent = False
modem.pin = True
modem.sent.clear()
board = cell.Cell(config)
board.at = modem
facts["no pin"] = board.up()
config["sim_pin"] = "9999"
facts["wrong pin"] = [board.up() for _ in range(4)]
board = cell.Cell(config)  # after a reset
board.at = modem
facts["wrong pin"].append(board.up())
facts["shown"] = len([text for _, text in modem.sent if text.startswith('+CPIN="9999')])
config["sim_pin"] = "1234"
facts["right pin"] = board.up()
facts["identity"] = board.identity
print(json.dumps(facts))
