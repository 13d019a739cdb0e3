"""Ed25519 (RFC 8032, 5.1) over MicroPython's big integers.

Rules:
1. The public key is derived from the seed in here, never taken from a caller: signing under a
   foreign public key gives the private key away.
2. `sign` runs the same field operations in the same order for every seed and message: a comb of
   42 columns, each one doubling and one addition, no digit of which is zero.
3. `verify` is strict (tally/ed25519_verify.py).
4. A damaged table stops the import; tally/signer.py asks the RFC's own question before anything is signed.

What big integers still leak: the time of one operation depends on its operands' leading zeros
and, in `%`, on their values; table entries are read at secret places; and freed integers stay in
the heap until they are overwritten. Who can time a board to the microsecond or read its memory
is not kept out here. `forget` wipes the expanded key, which alone is kept between calls.

    signature = sign(seed, message)
    verify(public(seed), message, signature)
"""

from hashlib import sha256

from tally.ed25519_table import TABLE
from tally.sha512 import sha512

try:
    from micropython import const
except ImportError:  # CPython: the host's tests

    def const(value):
        return value


# p = 2^255 - 19, the field.
_P = const(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED)
_M = const(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF)
# A multiple of p above 2^264, added before a subtraction so that nothing is negative.
_P8 = const(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED00)
# L, the order of the base point.
_L = const(0x1000000000000000000000000000000014DEF9DEA2F79CD65812631A5CF5D3ED)
_HALF = const(0x80000000000000000000000000000000A6F7CEF517BCE6B2C09318D2E7AE9F7)  # 1/2 mod L
_ONES = const(0x1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF)  # 2^253 - 1
_2D = const(0x2406D9DC56DFFCE7198E80F2EEF3D13000E0149A8283B156EBD69B9426B2F159)
_TABLE_DIGEST = b"\xcd\x87\xcd\xac\x86\x46\xf1\xc5"  # SHA-256, the first 8 bytes

# The expanded key: seed, clamped scalar, prefix, public key, 32 bytes each; _held says if any.
_key = bytearray(128)
_held = False

# A point is (E, F, G, H), its extended coordinates being X = EF, Y = GH, Z = FG, T = EH: so T is
# computed only where the next step is an addition. Products that are only added are brought down
# to 261 bits by folding, (v & _M) + (v >> 255) * 19, at half the price of v % p.


def double(e, f, g, h):
    x = e * f % _P
    y = g * h % _P
    z = f * g % _P
    b = x + y
    a = x * x
    a = (a & _M) + (a >> 255) * 19
    y *= y
    y = (y & _M) + (y >> 255) * 19
    z *= z
    z = (z & _M) + (z >> 255) * 19
    b *= b
    b = (b & _M) + (b >> 255) * 19
    h = a + y
    g = a - y + _P8
    return h - b + _P8, z + z + g, g, h


def addend(e, f, g, h):
    """(y + x, y - x, 2dxy, 2z), all times z: how a point enters `add`."""
    x = e * f % _P
    y = g * h % _P
    return y + x, y - x + _P, e * h % _P * _2D % _P, 2 * f * g % _P


def add(e, f, g, h, plus, minus, product, z2, sign):
    """Add what `addend` says of a point where sign is 1; subtract it, plus and minus having
    changed places already, where sign is 0. z2 None stands for z = 1."""
    x = e * f % _P
    y = g * h % _P
    z = f * g % _P
    t = e * h % _P
    if z2 is None:
        z += z
    else:
        z *= z2
        z = (z & _M) + (z >> 255) * 19
    a = (y - x + _P) * minus
    a = (a & _M) + (a >> 255) * 19
    x = (y + x) * plus
    x = (x & _M) + (x >> 255) * 19
    t *= product
    t = (t & _M) + (t >> 255) * 19
    fg = (z - t + _P8, z + t)  # an index selects without a branch
    return x - a + _P8, fg[1 - sign], fg[sign], x + a


def base_multiple(k):
    """k * B for 0 <= k < L, by the signed comb that tools/make_ed25519_table.py describes."""
    read = int.from_bytes
    # Digits of +1 and -1: k = sum of (2 * (bit i of n) - 1) * 2^i for i = 0..252, mod L.
    n = (k + _ONES) * _HALF % _L
    rows = []  # of 21 bits: small integers on every board; two for each tooth
    for _ in range(12):
        rows.append(n & 0x1FFFFF)
        n >>= 21
    # n, now 0 or 1, is the last digit's bit; the last entry is its point: start there.
    plus = read(TABLE[3072:3104], "little")
    minus = read(TABLE[3104:3136], "little")
    e = (plus - minus) * (n + n - 1) % _P  # +-2x
    h = plus + minus  # 2y
    f = g = 2
    for i in (1, 0):
        for column in range(20, -1, -1):
            e, f, g, h = double(e, f, g, h)
            v = 0
            for tooth in range(i + 8, -1, -2):
                v += v + (rows[tooth] >> column & 1)
            sign = rows[i + 10] >> column & 1
            swap = 1 - sign
            at = 96 * (v ^ (31 * swap))
            swap <<= 5
            e, f, g, h = add(
                e,
                f,
                g,
                h,
                read(TABLE[at + swap : at + swap + 32], "little"),
                read(TABLE[at + 32 - swap : at + 64 - swap], "little"),
                read(TABLE[at + 64 : at + 96], "little"),
                None,
                sign,
            )
    return e, f, g, h


def power(x):
    """x^(2^250 - 1) and x^11 mod p: all that an inversion and a square root have in common."""
    x2 = x * x % _P
    x9 = pow(x2, 4, _P) * x % _P
    x11 = x9 * x2 % _P
    x5 = x11 * x11 % _P * x9 % _P  # x^(2^5 - 1); so on: x40 is x^(2^40 - 1)
    x10 = pow(x5, 1 << 5, _P) * x5 % _P
    x20 = pow(x10, 1 << 10, _P) * x10 % _P
    x40 = pow(x20, 1 << 20, _P) * x20 % _P
    x50 = pow(x40, 1 << 10, _P) * x10 % _P
    x100 = pow(x50, 1 << 50, _P) * x50 % _P
    x200 = pow(x100, 1 << 100, _P) * x100 % _P
    return pow(x200, 1 << 50, _P) * x50 % _P, x11


def encode(e, f, g, h) -> bytes:
    """The 32 bytes of a point (RFC 8032, 5.1.2)."""
    x250, x11 = power(f * g % _P)
    inverse = pow(x250, 1 << 5, _P) * x11 % _P  # z^(p - 2)
    x = e * f % _P * inverse % _P
    y = g * h % _P * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def forget():
    """Wipe the expanded key."""
    global _held
    _held = False
    for i in range(128):
        _key[i] = 0


def _expand(seed):
    """Fill `_key` for `seed` (RFC 8032, 5.1.5) unless it is there."""
    global _held
    if len(seed) != 32:
        raise ValueError("a seed of %d bytes\nhint: 32 are needed" % len(seed))
    if _held and _key[:32] == seed:
        return
    forget()
    _key[:32] = seed
    _key[32:96] = sha512(seed)
    _key[32] &= 248
    _key[63] = _key[63] & 63 | 64
    _key[96:] = encode(*base_multiple(int.from_bytes(_key[32:64], "little") % _L))
    _held = True


def public(seed: bytes) -> bytes:
    """The public key of a seed (32 bytes each)."""
    _expand(seed)
    return bytes(_key[96:])


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature of `message` (RFC 8032, 5.1.6)."""
    _expand(seed)
    key = memoryview(_key)
    r = int.from_bytes(sha512(key[64:96], message), "little") % _L
    point = encode(*base_multiple(r))
    k = int.from_bytes(sha512(point, key[96:], message), "little") % _L
    s = (k * int.from_bytes(_key[32:64], "little") + r) % _L
    return point + s.to_bytes(32, "little")


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is that of `message` under the public key `key` (rule 3)."""
    from tally import ed25519_verify  # seldom needed, and forgotten between (tally/publisher.py)

    return ed25519_verify.verify(key, message, signature)


# One signature may leave entries of the table out: the digest vouches for all of them.
if sha256(TABLE).digest()[:8] != _TABLE_DIGEST:
    raise RuntimeError("ed25519 table is damaged")
