"""Prints, as JSON, what a board does with a SIM card that was away, or that signs with another key than its own.

micropython card_away.py FOLDER-WITH-firmware
"""

import json
import sys
from binascii import hexlify, unhexlify

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/virtual/modules"]

import machine
from modem import card, cell, p256_verify
from modem.at import AtError
from modem.chain import CardChain
from tally import hal, keys, record
from tally.chain import Halted
from tally.head import Head
from tally.journal import Journal

now = [0]
hal.uptime_s = lambda: now[0]
good = [True]
card._verifies = lambda key, digest, made: good[0]  # the card here signs nothing


class Modem:
    """The AT core of a modem with a card. open: channels with the applet selected."""

    doubt = False

    def __init__(self):
        self.open = []
        self.opened = 0
        self.out = False
        self.point = p256_verify.BASE

    def begin(self, tries):
        pass

    def within(self, limit_ms):
        pass

    def command(self, text, info=None):
        if text != "+CSIM=?":
            raise AtError("ERROR")

    def ask(self, text, info, limit_ms=0):
        if self.out:
            raise AtError("+CME ERROR: SIM not inserted")
        data, word = self.transmit(unhexlify(text.split('"')[1]))
        answer = hexlify(data).decode() + word
        return ['%d,"%s"' % (len(answer), answer)]

    def transmit(self, apdu):
        channel, ins = apdu[0] & 3, apdu[1]
        if ins == 0x70 and apdu[2]:
            if apdu[3] in self.open:
                self.open.remove(apdu[3])
            return b"", "9000"
        if ins == 0x70:
            self.opened += 1
            return bytes((1,)), "9000"
        if ins == 0xA4:
            self.open.append(channel)
            return b"", "9000"
        if channel not in self.open:
            return b"", "6881"
        if ins == 0xCD:
            spot = b"".join([part.to_bytes(32, "big") for part in self.point])
            return b"\x34\x45\x49\x43\x86\x41\x04" + spot, "9000"
        if ins == 0x2B:
            return b"\x33\x00\x40" + bytes(31) + b"\x01" + bytes(31) + b"\x01", "9000"
        return b"", "9000"


class Cell:
    args = {}
    restarts = 0

    def restart(self):
        Cell.restarts += 1
        modem.open.clear()


class Told:
    gateway = b"gateway!"
    time = 1800000000
    checkpoint = (b"gateway!", 1, bytes(32))

    def __init__(self, upto, identity):
        self.upto, self.id = upto, identity


cell._cells.append(Cell())
Cell.at = modem = Modem()
config = {"key": "iot-safe", "card_args": {}}
store = hal.nvs()
facts = {}


def start(cause=machine.PWRON_RESET):
    """The board starts."""
    machine.reset_cause = lambda: cause
    return CardChain(store, card.CardKey(config), Head(store), Journal(), 1 << 20)


def sign(chain):
    """What becomes of a record: its seq, or why there is none."""
    try:
        return chain.sign(record.event, now[0], record.SENSOR, (0, 0))
    except Halted as error:
        return str(error)


def said(chain):
    """The gateway says that it has all that the board signed."""
    head = chain.head
    chain.acknowledge(Told(head.next - 1, head.prev))


chain = start()
store.set_blob("sim", chain.key.public)
chain.begin()
facts["first"] = [sign(chain), sign(chain)]

# the modem starts anew, and the card with it: a minute is too short for another board
modem.open.clear()
now[0] += 30
facts["for a moment"] = [sign(chain), chain.doubt]

# out, and back after five minutes, under a board that runs on
modem.out = True
modem.open.clear()
now[0] += 300
facts["out"] = sign(chain)
modem.out = False
facts["back"] = [sign(chain), sign(chain), chain.doubt, chain.queue() > 0]
said(chain)
facts["goes on"] = [sign(chain), chain.doubt]

# the board starts anew, and the card has had power all the time
opened = modem.opened
facts["stayed"] = []
for cause in (machine.PWRON_RESET, machine.SOFT_RESET, machine.DEEPSLEEP_RESET):
    chain = start(cause)
    facts["stayed"].append([sign(chain), chain.doubt])
facts["opened again"] = modem.opened - opened

# the board slept, or was reset, and the card was out meanwhile
facts["out meanwhile"] = []
for cause in (machine.PWRON_RESET, machine.SOFT_RESET, machine.DEEPSLEEP_RESET):
    modem.open.clear()
    chain = start(cause)
    facts["out meanwhile"].append([sign(chain), chain.doubt])
    said(chain)
    facts["out meanwhile"].append([sign(chain), chain.doubt])

# where there is only the basic channel, the board's own power is all that is known
config["card_args"] = {"channel": 0}
facts["basic"] = []
for cause in (machine.PWRON_RESET, machine.SOFT_RESET):
    modem.open.clear()
    chain = start(cause)
    facts["basic"].append(chain.doubt)
modem.open.clear()
now[0] += 300
facts["basic"] += [isinstance(sign(chain), int), chain.doubt]
config["card_args"] = {}
chain = start()
said(chain)
sign(chain)

# a signature that does not verify is no record; and no card is asked for ever in vain
good[0] = False
seq = chain.head.next
facts["wrong"] = [sign(chain), chain.head.next - seq, chain.key.trouble]
now[0] += 700
sign(chain)
facts["restarts"] = Cell.restarts
good[0] = True
facts["right again"] = [sign(chain) - seq, sign(chain) - seq]

# another card, under a board that runs on
modem.point = p256_verify._affine(p256_verify._doubled(p256_verify.BASE + (1,)))
modem.open.clear()
try:
    facts["another"] = sign(chain)
except keys.KeyFault as error:
    facts["another"] = [str(error), chain.head.next - seq]
print(json.dumps(facts))
