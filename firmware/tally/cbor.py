"""Deterministic CBOR (RFC 8949, 4.2.1; docs/format.md, 1), as much of it as a board needs.

Rules
* `encode` knows integers, byte strings, null and arrays: what a payload may hold, and nothing else.
* `decode` takes exactly one item. It refuses longer-than-needed heads, indefinite lengths, tags, maps,
  text, floats, more than _MAX_DEPTH levels, more than _MAX_ITEMS items, and bytes left over.
* Lengths are checked against the bytes at hand before anything is allocated.

    encode([1, b"ab", None]) == b"\x83\x01\x42ab\xf6"
"""

from micropython import const

_MAX_DEPTH = const(4)  # an acknowledgement needs 3
_MAX_ITEMS = const(96)  # an acknowledgement with 16 missing ranges has 60
_ARRAY = const(4)
_BYTES = const(2)
_NULL = const(0xF6)


class CborError(Exception):
    """The bytes are not the deterministic CBOR of the specification."""


def head(out, major, number):
    """Append the head of an item to the bytearray `out`: major type 0..7, 0 <= number < 2^64."""
    major <<= 5
    if number < 24:
        out.append(major | number)
    elif number < 0x100:
        out.append(major | 24)
        out.append(number)
    elif number < 0x10000:
        out.append(major | 25)
        out.extend(number.to_bytes(2, "big"))
    elif number < 0x100000000:
        out.append(major | 26)
        out.extend(number.to_bytes(4, "big"))
    elif number < 0x10000000000000000:
        out.append(major | 27)
        out.extend(number.to_bytes(8, "big"))
    else:
        raise CborError("integer beyond 64 bits")


def put(out, value):
    """Append the encoding of an int, bytes, None or list (tuple) to the bytearray `out`."""
    if value is None:
        out.append(_NULL)
    elif isinstance(value, int):
        if value < 0:
            head(out, 1, -1 - value)
        else:
            head(out, 0, value)
    elif isinstance(value, (bytes, bytearray)):
        head(out, _BYTES, len(value))
        out.extend(value)
    else:
        head(out, _ARRAY, len(value))
        for item in value:
            put(out, item)


def encode(value):
    """The encoding of one value as a bytearray."""
    out = bytearray()
    put(out, value)
    return out


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
