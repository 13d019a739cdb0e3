"""Times the native signer beside the one in Python, and beside itself called from C; prints `name value`.

    micropython native_times.py FOLDER-WITH-tally-AND-lib FOLDER-WITH-REPEAT ROUNDS

Nanoseconds, best of all rounds; memory in bytes, garbage not counted. The second folder has the same module with a
function `repeat` that signs n times in C.
"""

import gc
import sys
import time

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/lib"]
SEED = bytes(range(32))
MESSAGE = bytes(100)
TIMES = 20  # calls that are timed as one: a single one is too short

gc.collect()
before = gc.mem_alloc()
from tally import ed25519_native as native  # noqa: E402 - its memory is measured

gc.collect()
held = gc.mem_alloc() - before
native.sign(SEED, MESSAGE)
gc.collect()
gc.disable()
before = gc.mem_alloc()
signature = native.sign(SEED, MESSAGE)
signing = gc.mem_alloc() - before
gc.enable()

from tally import ed25519 as plain  # noqa: E402

if plain.sign(SEED, MESSAGE) != signature:
    raise RuntimeError("the two signers disagree")
del sys.modules["_ed25519"]
sys.path.insert(0, sys.argv[2])
import _ed25519 as repeated  # noqa: E402

key = bytearray(SEED + bytes(96))
repeated.expand(key)
if repeated.repeat(key, MESSAGE, 2) != signature:
    raise RuntimeError("the two builds disagree")


def from_python():
    for _ in range(TIMES):
        native.sign(SEED, MESSAGE)


tasks = (
    ("native", from_python, TIMES),
    ("from_c", lambda: repeated.repeat(key, MESSAGE, TIMES), TIMES),
    ("plain", lambda: plain.sign(SEED, MESSAGE), 1),
)
best = {}
for _ in range(int(sys.argv[3])):
    for name, task, times in tasks:
        gc.collect()
        start = time.ticks_us()
        task()
        elapsed = time.ticks_diff(time.ticks_us(), start) * 1000 // times
        best[name] = min(elapsed, best.get(name, elapsed))
for name, value in best.items():
    print(name, value)
print("heap", held + signing)
