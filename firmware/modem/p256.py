"""What a board does with the public key and the signatures of a SIM card (P-256: SEC 2, 2.4.2; ECDSA: SEC 1, 4.1).

Rules
* r || s with s <= n/2 is the form that verifiers take (docs/format.md, 2); a card gives any.
* Nothing that comes from a card is used unchecked: one bit that was garbled on the line would be another board's key,
  or a record that nobody can verify and that holds up the chain for good. See p256_verify.py.
"""

from micropython import const

_P = const(0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF)
_N = const(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
_B = const(0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B)


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
