"""Prints, as JSON, what a board keeps of an identity when its key moves to a SIM card and back.

micropython card.py FOLDER-WITH-firmware
"""

import json
import os
import sys

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/virtual/modules"]

from modem import card_start as card
from tally import cose, hal, keys

NAMES = ("head_a", "born", "upto", keys.DEVICE, "sim")
CARD = b"\x02" + b"\x07" * 32


def put(name):
    os.mkdir("journal")
    with open("journal/" + name, "w") as file:
        file.write(name)


def found():
    held = []
    for name in NAMES:
        try:
            store.get_blob(name, bytearray(80))
            held.append(name)
        except OSError:
            try:
                store.get_i32(name)
                held.append(name)
            except OSError:
                continue
    folders = {one: os.listdir(one) for one in os.listdir(".") if one.startswith("journal")}
    return [held, folders]


store = hal.nvs()
said = []
facts = {"card": cose.kid(CARD).hex()}
store.set_blob(keys.ENTRY, bytes(64))
store.set_blob(keys.DEVICE, b"rotated!")
store.set_blob("head_a", bytes(65))
store.set_i32("born", 1)
store.set_blob("upto", bytes(8))
put("old")
facts["before"] = found()
card._turn_to(store, cose.kid(CARD), said.append, CARD)
facts["card in"] = found()
put("new")
store.set_blob("head_a", bytes(65))
card._turn_to(store, cose.kid(CARD), said.append, CARD)
facts["again"] = found()
card._turn_to(store, card._flash_id(store), said.append)
facts["card out"] = found()
card._turn_to(store, cose.kid(CARD), said.append, CARD)
facts["card back"] = found()
store.set_blob(keys.NEXT, bytes(keys.NEXT_BYTES))
try:
    card._turn_to(store, card._flash_id(store), said.append)
except keys.KeyFault as error:
    facts["rotation"] = str(error)
facts["said"] = said
print(json.dumps(facts))
