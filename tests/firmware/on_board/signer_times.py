"""Times the board's signer in MicroPython, side by side with its yardsticks; prints `name value`.

    micropython signer_times.py FOLDER-WITH-tally ROUNDS

Each time is the best of all rounds, in microseconds; memory is in bytes, garbage not counted.
`plain` is Ed25519 without a table or a window: double-and-add for the public key and for R.
"""

import gc
import sys
import time

sys.path.insert(0, sys.argv[1])

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Y = 4 * pow(5, P - 2, P) % P
X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
SEED = bytes(range(32))
MESSAGE = bytes(100)

gc.collect()
before = gc.mem_alloc()
from tally import ed25519  # noqa: E402 - its memory is measured

gc.collect()
held = gc.mem_alloc() - before
sha512 = ed25519.sha512


def multiplications():
    """450 bare multiplications mod p."""
    p = P
    a = X
    b = Y
    for _ in range(450):
        a * b % p


def plain_sum(q, r):
    """The sum of two points in extended coordinates."""
    a = (q[1] - q[0]) * (r[1] - r[0]) % P
    b = (q[1] + q[0]) * (r[1] + r[0]) % P
    c = 2 * q[3] * r[3] * D % P
    d = 2 * q[2] * r[2] % P
    return (
        (b - a) * (d - c) % P,
        (d + c) * (b + a) % P,
        (d - c) * (d + c) % P,
        (b - a) * (b + a) % P,
    )


def plain_multiple(k):
    """k * B, encoded."""
    total = (0, 1, 1, 0)
    step = (X, Y, 1, X * Y % P)
    while k:
        if k & 1:
            total = plain_sum(total, step)
        step = plain_sum(step, step)
        k >>= 1
    inverse = pow(total[2], P - 2, P)
    x = total[0] * inverse % P
    y = total[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def plain_sign(seed, message):
    """Sign without any table."""
    expanded = sha512(seed)
    a = int.from_bytes(expanded[:32], "little") & (1 << 254) - 8 | 1 << 254
    key = plain_multiple(a)
    r = int.from_bytes(sha512(expanded[32:], message), "little") % L
    point = plain_multiple(r)
    k = int.from_bytes(sha512(point, key, message), "little") % L
    return point + ((r + k * a) % L).to_bytes(32, "little")


def first_sign():
    """Sign with no expanded key at hand, as after a start."""
    ed25519.forget()
    ed25519.sign(SEED, MESSAGE)


key = ed25519.public(SEED)
signature = ed25519.sign(SEED, MESSAGE)
if plain_sign(SEED, MESSAGE) != signature or not ed25519.verify(key, MESSAGE, signature):
    raise RuntimeError("the two signers disagree")

tasks = (
    ("multiplications", multiplications),
    ("sign", lambda: ed25519.sign(SEED, MESSAGE)),
    ("first_sign", first_sign),
    ("verify", lambda: ed25519.verify(key, MESSAGE, signature)),
    ("plain_sign", lambda: plain_sign(SEED, MESSAGE)),
)
best = {}
for _ in range(int(sys.argv[2])):
    for name, task in tasks:
        gc.collect()
        start = time.ticks_us()
        task()
        elapsed = time.ticks_diff(time.ticks_us(), start)
        best[name] = min(elapsed, best.get(name, elapsed))
for name, _ in tasks:
    print(name, best[name])

# What is alive at the deepest places of a signature, on top of what was before it.
peak = 0


def watched(function):
    """The function, looking at the heap before each call."""

    def call(*values):
        global peak
        gc.collect()
        peak = max(peak, gc.mem_alloc())
        return function(*values)

    return call


for name in ("double", "add", "encode", "sha512"):
    setattr(ed25519, name, watched(getattr(ed25519, name)))
gc.collect()
peak = start = gc.mem_alloc()
ed25519.sign(SEED, MESSAGE)
print("heap_held", held)
print("heap_signing", peak - start)
