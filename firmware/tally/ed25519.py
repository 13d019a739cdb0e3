"""Ed25519 (RFC 8032, 5.1) over MicroPython's big integers.

Rules:
1. The public key is derived from the seed in here, never taken from a caller: signing under a
   foreign public key gives the private key away.
2. `sign` runs the same field operations in the same order for every seed and message: a comb of
   21 columns, each one doubling and two additions, no digit of which is zero.
3. `verify` is strict: S < L, canonical encodings, no key of low order, and the equation of RFC
   8032, 5.1.7 without the cofactor, so that it never accepts what the gateway refuses.
4. A damaged table, or a wrong answer to the RFC's own test, stops the import.

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
_D = const(0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3)
_ROOT = const(0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0)  # of -1
_TABLE_DIGEST = b"\x7f\x79\x5a\x55\x83\x55\xbc\x45"  # SHA-256, the first 8 bytes
# y of the points of order 8; p - y is the other one.
_Y8 = const(0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7)

# The expanded key: seed, clamped scalar, prefix, public key, 32 bytes each; _held says if any.
_key = bytearray(128)
_held = False

# A point is (E, F, G, H), its extended coordinates being X = EF, Y = GH, Z = FG, T = EH: so T is
# computed only where the next step is an addition. Products that are only added are brought down
# to 261 bits by folding, (v & _M) + (v >> 255) * 19, at half the price of v % p.


def _double(e, f, g, h):
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


def _addend(e, f, g, h):
    """(y + x, y - x, 2dxy, 2z), all times z: how a point enters `_add`."""
    x = e * f % _P
    y = g * h % _P
    return y + x, y - x + _P, e * h % _P * _2D % _P, 2 * f * g % _P


def _add(e, f, g, h, plus, minus, product, z2, sign):
    """Add what `_addend` says of a point where sign is 1; subtract it, plus and minus having
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


def _base_multiple(k):
    """k * B for 0 <= k < L, by the signed comb that tools/make_ed25519_table.py describes."""
    read = int.from_bytes
    # Digits of +1 and -1: k = sum of (2 * (bit i of n) - 1) * 2^i for i = 0..252, mod L.
    n = (k + _ONES) * _HALF % _L
    rows = []
    for _ in range(12):
        rows.append(n & 0x1FFFFF)
        n >>= 21
    # n, now 0 or 1, is the last digit's bit; the last entry is its point: start there.
    plus = read(TABLE[6144:6176], "little")
    minus = read(TABLE[6176:6208], "little")
    e = (plus - minus) * (n + n - 1) % _P  # +-2x
    h = plus + minus  # 2y
    f = g = 2
    for column in range(20, -1, -1):
        e, f, g, h = _double(e, f, g, h)
        for i in (0, 6):
            v = 0
            for tooth in range(i + 4, i - 1, -1):
                v += v + (rows[tooth] >> column & 1)
            sign = rows[i + 5] >> column & 1
            swap = 1 - sign
            at = (i << 9) + 96 * (v ^ (31 * swap))
            swap <<= 5
            e, f, g, h = _add(
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


def _power(x):
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


def _encode(e, f, g, h) -> bytes:
    """The 32 bytes of a point (RFC 8032, 5.1.2)."""
    x250, x11 = _power(f * g % _P)
    inverse = pow(x250, 1 << 5, _P) * x11 % _P  # z^(p - 2)
    x = e * f % _P * inverse % _P
    y = g * h % _P * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode_key(data):
    """(x, y) of a public key, or None where it is not canonical, not a point or of low order."""
    y = int.from_bytes(data, "little")
    odd = y >> 255
    y &= _M
    if y >= _P or y in (0, 1, _P - 1, _Y8, _P - _Y8):
        return None
    # RFC 8032, 5.1.3: x = sqrt(u / v) = u v^3 (u v^7)^((p - 5) / 8), or that times sqrt(-1)
    u = y * y % _P
    v = (_D * u + 1) % _P
    u -= 1
    v3 = v * v % _P * v % _P
    w = u * v3 % _P * v3 % _P * v % _P
    x = pow(_power(w)[0], 4, _P) * w % _P * u % _P * v3 % _P
    check = v * x % _P * x % _P
    if check != u:
        if check != _P - u:
            return None
        x = x * _ROOT % _P
    if x & 1 != odd:
        x = _P - x
    return x, y


def _signed_digits(k):
    """k = sum of digit * 2^i, each digit 0 or odd and between -15 and 15 (no secret: branches)."""
    digits = []
    while k:
        if k & 1:
            digit = k & 31
            if digit > 15:
                digit -= 32
            k = (k - digit) >> 5
            digits.append(digit)
            if k:
                digits.extend((0, 0, 0, 0))
        else:
            k >>= 1
            digits.append(0)
    return digits


def _multiple(k, x, y):
    """k * (x, y) for a public key's point and a public k."""
    point = (x, 1, 1, y)
    double = _addend(*_double(*point))
    odd = [_addend(*point)]  # 1, 3, 5 ... 15 times the point
    while len(odd) < 8:
        e, f, g, h = point
        point = _add(e, f, g, h, *double, 1)
        odd.append(_addend(*point))
    e, f, g, h = 0, 1, 1, 1
    for digit in reversed(_signed_digits(k)):
        e, f, g, h = _double(e, f, g, h)
        if digit > 0:
            e, f, g, h = _add(e, f, g, h, *odd[digit >> 1], 1)
        elif digit:
            plus, minus, product, z2 = odd[-digit >> 1]
            e, f, g, h = _add(e, f, g, h, minus, plus, product, z2, 0)
    return e, f, g, h


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
    _key[96:] = _encode(*_base_multiple(int.from_bytes(_key[32:64], "little") % _L))
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
    point = _encode(*_base_multiple(r))
    k = int.from_bytes(sha512(point, key[96:], message), "little") % _L
    s = (k * int.from_bytes(_key[32:64], "little") + r) % _L
    return point + s.to_bytes(32, "little")


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is that of `message` under the public key `key` (rule 3)."""
    if len(key) != 32 or len(signature) != 64:
        return False
    # 1. S < L: no second signature for one message (RFC 8032, 8.4).
    s = int.from_bytes(signature[32:], "little")
    if s >= _L:
        return False
    # 2. A key that is a canonical point, and not of low order (it would pass any message).
    point = _decode_key(key)
    if point is None:
        return False
    # 3. R = S*B - k*A, compared as bytes, so that R is canonical too.
    k = int.from_bytes(sha512(signature[:32], key, message), "little") % _L
    other = _addend(*_multiple(k, _P - point[0], point[1]))
    e, f, g, h = _base_multiple(s)
    return _encode(*_add(e, f, g, h, *other, 1)) == bytes(signature[:32])


def self_test():
    """RuntimeError where the table is damaged or TEST 2 of RFC 8032, 7.1, is signed wrongly."""
    seed = (
        b"\x4c\xcd\x08\x9b\x28\xff\x96\xda\x9d\xb6\xc3\x46\xec\x11\x4e\x0f"
        b"\x5b\x8a\x31\x9f\x35\xab\xa6\x24\xda\x8c\xf6\xed\x4f\xb8\xa6\xfb"
    )
    expected = (
        b"\x92\xa0\x09\xa9\xf0\xd4\xca\xb8\x72\x0e\x82\x0b\x5f\x64\x25\x40"
        b"\xa2\xb2\x7b\x54\x16\x50\x3f\x8f\xb3\x76\x22\x23\xeb\xdb\x69\xda"
        b"\x08\x5a\xc1\xe4\x3e\x15\x99\x6e\x45\x8f\x36\x13\xd0\xf1\x1d\x8c"
        b"\x38\x7b\x2e\xae\xb4\x30\x2a\xee\xb0\x0d\x29\x16\x12\xbb\x0c\x00"
    )
    # One signature uses 43 of the table's entries at most: the digest vouches for the others.
    good = sha256(TABLE).digest()[:8] == _TABLE_DIGEST and sign(seed, b"\x72") == expected
    forget()
    if not good:
        raise RuntimeError("ed25519 self-test failed")


self_test()
