"""Prints, as JSON, what a board does with a modem that finds no way out, and with PINs that are refused.

micropython cell.py FOLDER-WITH-firmware CLOCK...
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
        self.tells = False  # how many wrong PINs the card still takes
        self.tries = 3
        self.lost = 0  # answers to a PIN that do not come
        self.registration = "0,2"
        self.clock = ""

    def within(self, limit_ms):
        pass

    def begin(self, tries):
        if self.silent:
            raise Silent("AT")

    def command(self, text, *arguments, **named):
        self.sent.append((now[0], text))
        if text.startswith('+CPIN="'):
            good = text == '+CPIN="1234"'
            self.tries = 3 if good else self.tries - 1
            if self.lost:
                self.lost -= 1
                raise Silent(text)
            if not good:
                raise AtError("+CME ERROR: incorrect password")
            self.pin = False

    def ask(self, text, *arguments):
        if text == "+CPIN?":
            return ["SIM PIN" if self.pin else "READY"]
        if text.startswith("+CSIM"):
            if not self.tells:
                raise AtError("ERROR")
            return ['4,"63C%d"' % self.tries]
        if text == "+CCLK?":
            return [self.clock]
        if "REG" in text:
            if self.registration is None:
                raise AtError("ERROR")
            return [self.registration]
        return ["17,99"]

    def shown(self):
        return [text[7:-1] for _, text in self.sent if text.startswith('+CPIN="')]


machine.Pin = Pin
args = {"power_key": 4, "on_ms": 500, "off_ms": 3000, "start_ms": 1000, "patience_s": 60}
config = {"modem_args": args, "sim_pin": None, "net": "modem"}
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

# one that never says a word
now[0] = 0
resets.clear()
board = cell.Cell(config)
board.at = modem
while not resets and now[0] < 3600000:
    board.up()
    now[0] += 5000
facts["silent"] = resets[0] // 1000

# neither of the two commands that tell the registration; noise in their answers
modem.silent = False
board = cell.Cell(config)
board.at = modem
facts["registration"] = []
for modem.registration in (None, "2", "0,3", "0,2"):
    facts["registration"].append(board.up())

# the network's clock
facts["clock"] = []
for modem.clock in sys.argv[2:]:
    facts["clock"].append(board.time())


# PINs
def tried(pin, times=3):
    """What is said with this PIN set, over a start of the board, too."""
    config["sim_pin"] = pin
    heard = [board.up() for _ in range(times)]
    other = cell.Cell(config)
    other.at = modem
    heard.append(other.up())
    return heard


def new_card(tells):
    modem.pin = True
    modem.tells = tells
    modem.tries = 3
    modem.sent.clear()
    config["sim_pin"] = None
    board.up()


modem.pin = True
facts["no pin"] = tried(None)[0]
for name, tells in (("counts", False), ("tells", True)):
    new_card(tells)
    facts[name] = [tried(pin) for pin in ("9999", "8888", "7777", "1234")]
    facts[name + " shown"] = modem.shown()
    facts[name + " left"] = modem.tries

# it was opened elsewhere: whoever says so has it shown
modem.tries = 3
modem.tells = False
modem.sent.clear()
tried(None)
facts["opened elsewhere"] = [tried("1234"), modem.shown()]

# an answer that is lost counts, and may have been yes
new_card(False)
modem.lost = 2
facts["lost"] = [tried("9999", 4), modem.shown(), modem.tries]
print(json.dumps(facts))
