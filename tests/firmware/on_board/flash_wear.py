"""What records cost the flash: `records`, `bytes`, `programmed`, `erases`, `operations`, `nvs`, one number each.

    micropython flash_wear.py PATHS COUNT

PATHS: the agent and the simulated chip, separated by colons. COUNT records of 200 bytes go through the agent's
chain, journal and head, with a gateway that acknowledges every tenth.
"""

import sys

sys.path[1:1] = sys.argv[1].split(":")

from life import TIME, Gateway, Life, Place
from tally import record

RECORD_BYTES = 200

count = int(sys.argv[2])
life = Life(Place(), Gateway(), 0)
life.genesis()
life.begin()
life.publish()
filler = 0
flash, store, power = life.flash, life.store, life.power
before = (flash.programmed, flash.erases, power.operations, store.programmed)
total = 0
for i in range(count):
    seq = life.chain.sign(record.event, TIME, 99, (bytes(filler),))
    data = life.chain.journal.read(seq)
    # the first is too short, and the seq takes a byte more now and then
    filler += RECORD_BYTES - len(data)
    total += len(data)
    life.chain.make_room(TIME)
    life.publish()
    if i % 10 == 9:
        life.gateway.acknowledge()
        life.hear()
after = (flash.programmed, flash.erases, power.operations, store.programmed)
print("records", count)
print("bytes", total)
for name, start, end in zip(("programmed", "erases", "operations", "nvs"), before, after):
    print(name, end - start)
life.end()
