"""Verifying Ed25519 (RFC 8032, 5.1.7) over MicroPython's big integers. Loaded with a message, and forgotten after it.

Rules
* Strict: S < L, canonical encodings, no key of low order, and the equation without the cofactor, so that it never
  accepts what the gateway refuses.
* Nothing here is secret: branches and table look-ups may depend on the operands.
"""

from tally.ed25519 import add, addend, base_multiple, double, encode, power
from tally.sha512 import sha512

try:
    from micropython import const
except ImportError:  # CPython: the host's tests

    def const(value):
        return value


_P = const(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED)
_M = const(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF)
_L = const(0x1000000000000000000000000000000014DEF9DEA2F79CD65812631A5CF5D3ED)
_D = const(0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3)
_ROOT = const(0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0)  # of -1
# y of the points of order 8; p - y is the other one.
_Y8 = const(0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7)


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
    x = pow(power(w)[0], 4, _P) * w % _P * u % _P * v3 % _P
    check = v * x % _P * x % _P
    if check != u:
        if check != _P - u:
            return None
        x = x * _ROOT % _P
    if x & 1 != odd:
        x = _P - x
    return x, y


def _multiple(k, x, y):
    """k * (x, y) for a public key's point and a public k, by digits of 1, 0 and -1 of which no two neighbours are not
    zero: bits of 3k less those of k. Windows would save a tenth of the time, and take a kilobyte."""
    plus, minus, product, _ = addend(x, 1, 1, y)
    more = (3 * k).to_bytes(32, "little")
    less = k.to_bytes(32, "little")
    point = (0, 1, 1, 1)
    for i in range(255, 0, -1):
        point = double(*point)
        digit = (more[i >> 3] >> (i & 7) & 1) - (less[i >> 3] >> (i & 7) & 1)
        if digit > 0:
            point = add(*point, plus, minus, product, None, 1)
        elif digit:
            point = add(*point, minus, plus, product, None, 0)
    return point


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is that of `message` under the public key `key` strictly."""
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
    other = addend(*_multiple(k, _P - point[0], point[1]))
    e, f, g, h = base_multiple(s)
    return encode(*add(e, f, g, h, *other, 1)) == bytes(signature[:32])
