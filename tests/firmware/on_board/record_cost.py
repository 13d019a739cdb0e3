"""Time and memory of building one record, the signature left out; prints `name value`.

    micropython record_cost.py PATHS ROUNDS

PATHS: the agent and the simulated chip, separated by colons.

Built is a readings record of two channels at the place of the specification's size vector: payload,
what is signed, its id, and the complete message around a signature that is given. `bytes` is what
one build takes from the heap, garbage included, with the collector switched off; `us` is the best
of all rounds.
"""

import gc
import sys
import time

sys.path[:0] = sys.argv[1].split(":")

from tally import cose, hal, keys, record, sensor, signer  # noqa: E402 - after the path, like all else

RECORD = 65000  # as a number: in the compiled agent it has no name any more
PREV = bytes(32)
SIGNATURE = bytes(64)
seed = bytearray(32)
key = keys.Key(seed + signer.public(seed))
signer.sign = lambda seed, message: SIGNATURE
draft = cose.draft()
batch = sensor.Batch(2, 1000)
hal.uptime_ms = lambda: 1000
batch.add([2153, 4830], 1795242134)


def build(seq):
    """One record from two integers to bytes, as the chain has it made."""
    record.readings(draft, (seq, PREV, batch.start), 99000, batch.interval(), batch.columns)
    return key.seal(draft, RECORD)[0]


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
