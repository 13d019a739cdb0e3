"""Whether a signature of a SIM card is one (P-256; ECDSA: SEC 1, 4.1.4). Loaded for it, and forgotten after it."""

from micropython import const

_P = const(0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF)
_N = const(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def verifies(key, digest, made):
    """Whether r || s is the signature by this key (x, y) of a SHA-256 digest."""
    r, s = int.from_bytes(made[:32], "big"), int.from_bytes(made[32:], "big")
    if not (0 < r < _N and 0 < s < _N):
        return False
    inverse = pow(s, _N - 2, _N)
    u = int.from_bytes(digest, "big") * inverse % _N
    v = r * inverse % _N
    # Both multiples in one walk over their bits. With Z = 0 it is the point at infinity.
    both = _affine(_add((BASE[0], BASE[1], 1), key))
    steps = (None, BASE, key, both)
    at = (1, 1, 0)
    for bit in range(255, -1, -1):
        at = _doubled(at)
        step = steps[u >> bit & 1 | (v >> bit & 1) << 1]
        if step is not None:
            at = _add(at, step)
    x, _, z = at
    if not z:
        return False
    z = z * z % _P
    return r * z % _P == x or (r + _N < _P and (r + _N) * z % _P == x)


def _affine(at):
    """(x, y) of a point in Jacobian coordinates (x = X/Z^2, y = Y/Z^3), None at infinity."""
    if not at[2]:
        return None
    inverse = pow(at[2], _P - 2, _P)
    square = inverse * inverse % _P
    return at[0] * square % _P, at[1] * square * inverse % _P


def _doubled(at):
    x, y, z = at
    square = z * z % _P
    slope = 3 * (x - square) * (x + square) % _P
    twice = 2 * y * y % _P
    beta = 2 * x * twice % _P
    new_x = (slope * slope - 2 * beta) % _P
    return new_x, (slope * (beta - new_x) - 2 * twice * twice) % _P, 2 * y * z % _P


def _add(at, other):
    """A point in Jacobian coordinates and one in affine ones."""
    x, y, z = at
    if not z:
        return other[0], other[1], 1
    square = z * z % _P
    run = (other[0] * square - x) % _P
    rise = (other[1] * square * z - y) % _P
    if not run:
        return (1, 1, 0) if rise else _doubled(at)
    square = run * run % _P
    cube = square * run % _P
    middle = x * square % _P
    new_x = (rise * rise - cube - 2 * middle) % _P
    return new_x, (rise * (middle - new_x) - y * cube) % _P, z * run % _P
