"""Print records of every kind in hex, one a line: `name hex`. Arguments: none; the key is a fixed seed."""

import sys

from tally import birth, cose, ed25519, keys, opening, record


class Fixed(keys.Key):
    pass


seed = bytes(range(32))
entry = bytearray(seed + ed25519.public(seed))
key = Fixed(entry)
prev = bytes(range(100, 132))
head = (100000, prev, 1790000000)
checkpoint = [b"gateway!", 123456, bytes(32)]
milestone = [b"ledger!!", bytes(range(32))]
channels = (("temperature", "Cel", -2), ("humidity", "%RH", -1))


draft = cose.draft()


def show(name, build, *arguments):
    build(draft, head, *arguments)
    size = cose.size(draft)
    message, identity = key.seal(draft, cose.RECORD)
    print(name, bytes(message).hex(), identity.hex())
    if len(message) != size:
        print("another size", size)


print("key", key.public.hex(), "-")
for count in (1, 10, 60):
    first = [2150 + i * 7 % 20 for i in range(count)]
    second = [487 + i * 5 % 24 for i in range(count)]
    interval = 10 if count > 1 else 0
    show("readings%d" % count, record.readings, 99000, interval, [first, second])
uneven = [[1, None, -5, -5], [None, None, None, 7]]
show("uneven", record.readings, 99000, [1, 300, 2], uneven)
wide = [-(1 << 62), (1 << 62) - 1]
show("wide", record.readings, 99000, 1, [wide])
facts = (3, "0.1.0", bytes(16), 2, bytes(16), channels, 1000, milestone, checkpoint)
show("open", opening.opened, *facts)
show("beacon", record.beacon, milestone, checkpoint, bytes(16), 17)
show("empty_beacon", record.beacon, None, None, None, 0)
show("clock", record.event, record.CLOCK, (17, 1790000000, 5))
try:
    record.column(draft, [-(1 << 63), 1 << 62])
    print("overflow accepted -")
except record.RecordError:
    print("overflow refused -")
for draw in (bytes(128), bytes([1, 2, 3, 4] * 32), bytes(range(128))):
    try:
        birth.check_health(draw)
        print("health good -")
    except keys.KeyFault:
        print("health bad -")
sys.exit(0)
