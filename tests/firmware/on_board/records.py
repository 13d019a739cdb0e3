"""Print records of every kind in hex, one a line: `name hex`. Arguments: none; the key is a fixed seed."""

import sys

from tally import birth, cbor, cose, ed25519, keys, opening, record


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


def show(name, payload):
    message, identity = key.sign(cose.RECORD, cbor.encode(payload))
    print(name, bytes(message).hex(), identity.hex())


print("key", key.public.hex(), "-")
for count in (1, 10, 60):
    first = [2150 + i * 7 % 20 for i in range(count)]
    second = [487 + i * 5 % 24 for i in range(count)]
    show(
        "readings%d" % count, record.readings(head, 99000, 10 if count > 1 else 0, [first, second])
    )
show(
    "uneven", record.readings(head, 99000, [1, 300, 2], [[1, None, -5, -5], [None, None, None, 7]])
)
wide = [-(1 << 62), (1 << 62) - 1]
show("wide", record.readings(head, 99000, 1, [wide]))
show(
    "open",
    opening.opened(
        head, 3, "0.1.0", bytes(16), 2, bytes(16), channels, 1000, milestone, checkpoint
    ),
)
show("beacon", record.beacon(head, milestone, checkpoint, bytes(16), 17))
show("empty_beacon", record.beacon(head, None, None, None, 0))
show("clock", record.event(head, record.CLOCK, (17, 1790000000, 5)))
try:
    record.column([-(1 << 63), 1 << 62])
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
