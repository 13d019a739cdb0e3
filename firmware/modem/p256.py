"""What a board does with the public key and the signatures of a SIM card (P-256: SEC 2, 2.4.2; ECDSA: SEC 1, 4.1).

Rules
* r || s with s <= n/2 is the form that verifiers take (docs/format.md, 2); a card gives any.
* Nothing that comes from a card is used unchecked: one bit that was garbled on the line would be another board's key,
  or a record that nobody can verify and that holds up the chain for good.
"""

from micropython import const

_P = const(0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF)
_N = const(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
_B = const(0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B)
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def point(data):
    """(x, y) of a public key: 64 bytes, or 65 with 04 before them. Raises ValueError."""
    if len(data) == 65 and data[0] == 4:
        data = data[1:]
    if len(data) != 64:
        raise ValueError("no point of P-256")
    x, y = int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big")
    if x >= _P or y >= _P or (y * y - x * x * x + 3 * x - _B) % _P:
        raise ValueError("no point of P-256")
    return x, y


def compressed(at):
    """A point as 33 bytes."""
    return bytes((2 | at[1] & 1,)) + at[0].to_bytes(32, "big")


def _integer(data, at):
    """(value, where the next one begins) of an ASN.1 INTEGER, with or without the zeros that it should have."""
    end = at + 2 + data[at + 1]
    if data[at] != 2 or end > len(data):
        raise ValueError("no DER")
    return int.from_bytes(data[at + 2 : end], "big"), end


def signature(data):
    """r || s with s <= n/2, from r || s or from DER: a card gives either. Raises ValueError, IndexError.

    64 bytes are r || s. DER is as short when both integers are below 2^232, once in 2^46 signatures: that one does not
    verify, and the card is asked for another.
    """
    if len(data) == 64:
        r = int.from_bytes(data[:32], "big")
        s = int.from_bytes(data[32:], "big")
    else:
        if len(data) < 8 or data[0] != 0x30:
            raise ValueError("no signature")
        r, at = _integer(data, 2)
        s, at = _integer(data, at)
        if at != 2 + data[1]:
            raise ValueError("no DER")
    if not (0 < r < _N and 0 < s < _N):
        raise ValueError("no signature")
    if s > _N >> 1:
        s = _N - s  # both verify; one of them is the signature
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verifies(key, digest, made):
    """Whether r || s is the signature by this key (x, y) of a SHA-256 digest."""
    r, s = int.from_bytes(made[:32], "big"), int.from_bytes(made[32:], "big")
    if not (0 < r < _N and 0 < s < _N):
        return False
    inverse = pow(s, _N - 2, _N)
    u = int.from_bytes(digest, "big") * inverse % _N
    v = r * inverse % _N
    # Both multiples in one walk over their bits. With Z = 0 it is the point at infinity.
    both = _affine(_add((_G[0], _G[1], 1), key))
    steps = (None, _G, key, both)
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
