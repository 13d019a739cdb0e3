"""What a board does with signatures of a SIM card: r || s in the form that verifiers take (docs/format.md, 2)."""

from micropython import const

# Order of the curve's base point (SEC 2, 2.4.2).
_N = const(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)


def compressed(point):
    """X and Y (64 bytes, or 65 with 04 before them) as 33 bytes."""
    if len(point) == 65 and point[0] == 4:
        point = point[1:]
    if len(point) != 64:
        raise ValueError("no point of P-256")
    return bytes((2 | point[63] & 1,)) + bytes(point[:32])


def _integer(data, at):
    """(value, where the next one begins) of an ASN.1 INTEGER."""
    if data[at] != 2:
        raise ValueError("no DER")
    end = at + 2 + data[at + 1]
    return int.from_bytes(data[at + 2 : end], "big"), end


def signature(data):
    """r || s with s <= n/2, from r || s or from DER: a card gives either. Raises ValueError.

    64 bytes are r || s. DER is as short when both integers are below 2^232, once in 2^46 signatures; such a record is
    one that nobody can verify, as after any mistake of a card.
    """
    if len(data) == 64:
        r = int.from_bytes(data[:32], "big")
        s = int.from_bytes(data[32:], "big")
    else:
        if len(data) < 8 or data[0] != 0x30:
            raise ValueError("no signature")
        r, at = _integer(data, 2)
        s, at = _integer(data, at)
    if not (0 < r < _N and 0 < s < _N):
        raise ValueError("no signature")
    if s > _N >> 1:
        s = _N - s  # both verify; one of them is the signature
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
