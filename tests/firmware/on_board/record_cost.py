"""Time and memory of building one record, the signature left out; prints `name value`.

    micropython record_cost.py FOLDER-WITH-tally ROUNDS

Built is a readings record of two channels at the place of the specification's size vector: payload,
what is signed, its id, and the complete message around a signature that is given. `bytes` is what
one build takes from the heap, garbage included, with the collector switched off; `us` is the best
of all rounds.
"""

import gc
import sys
import time

sys.path.insert(0, sys.argv[1])

from hashlib import sha256  # noqa: E402 - after the path, like all else

from tally import cbor, cose, record  # noqa: E402

KID = bytes(8)
PREV = bytes(32)
SIGNATURE = bytes(64)


def build(seq):
    """One record from two integers to bytes."""
    head = (seq, PREV, 1795242134)
    payload = cbor.encode(record.readings(head, 99000, 0, ([2153], [4830])))
    signed = cose.to_be_signed(KID, cose.RECORD, payload)
    sha256(signed).digest()
    return cose.message(KID, cose.RECORD, payload, SIGNATURE)


size = len(build(100000))
best = None
taken = 0
for i in range(int(sys.argv[2])):
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    started = time.ticks_us()
    build(100000 + i)
    elapsed = time.ticks_diff(time.ticks_us(), started)
    taken = max(taken, gc.mem_alloc() - before)
    gc.enable()
    best = elapsed if best is None else min(best, elapsed)
print("us", best)
print("bytes", taken)
print("size", size)
