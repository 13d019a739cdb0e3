"""Deterministic CBOR (docs/format.md, 1), read. Loaded with a message, and forgotten after it.

Rules
* `decode` takes exactly one item. It refuses longer-than-needed heads, indefinite lengths, tags, maps,
  text, floats, more than _MAX_DEPTH levels, more than _MAX_ITEMS items, and bytes left over.
* Lengths are checked against the bytes at hand before anything is allocated.
"""

from micropython import const

from tally.cbor import CborError

_MAX_DEPTH = const(4)  # an acknowledgement needs 3
_MAX_ITEMS = const(96)  # an acknowledgement with 16 missing ranges has 60
_ARRAY = const(4)
_BYTES = const(2)
_NULL = const(0xF6)


class _Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0
        self.items = 0

    def take(self, length):
        end = self.at + length
        if end > len(self.data):
            raise CborError("bytes end early")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def number(self, info):
        if info < 24:
            return info
        if info > 27:
            raise CborError("indefinite or reserved length")
        size = 1 << (info - 24)
        number = int.from_bytes(self.take(size), "big")
        if number < (24 if size == 1 else 1 << (4 * size)):
            raise CborError("head longer than needed")
        return number

    def item(self, depth):
        self.items += 1
        if self.items > _MAX_ITEMS or depth > _MAX_DEPTH:
            raise CborError("too many or too deep")
        first = self.take(1)[0]
        if first == _NULL:
            return None
        major = first >> 5
        if major > _ARRAY or major == 3:
            raise CborError("type not allowed here")
        number = self.number(first & 31)
        if major == 0:
            return number
        if major == 1:
            return -1 - number
        if major == _BYTES:
            return bytes(self.take(number))
        if number > _MAX_ITEMS:
            raise CborError("too many or too deep")
        return [self.item(depth + 1) for _ in range(number)]


def decode(data):
    """Decode exactly one item: int, bytes, None or list. Raises CborError."""
    reader = _Reader(data)
    value = reader.item(1)
    if reader.at != len(data):
        raise CborError("bytes left over")
    return value
