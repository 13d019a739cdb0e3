"""Deterministic CBOR (RFC 8949, 4.2.1; docs/format.md, 1), as much of it as a board needs.

Rules
* `Writer` and `encode` know integers, byte strings, null and arrays: what a payload may hold, and nothing else.
* tally/decode.py reads.

    encode([1, b"ab", None]) == b"\x83\x01\x42ab\xf6"
"""

from micropython import const

_ARRAY = const(4)
_BYTES = const(2)


class CborError(Exception):
    """The bytes are not the deterministic CBOR of the specification."""


class Writer:
    """Writes items one behind the other into a buffer that is used again and again: `begin` forgets them.

    data: a bytearray, replaced by a longer one when it is full. at: where the next item goes; start: the first."""

    def __init__(self, size, start=0):
        self.data = bytearray(size)
        self._start = start
        self.at = start

    def begin(self):
        self.at = self._start

    def _room(self, length):
        """Where so many bytes may be written."""
        at = self.at
        if at + length > len(self.data):
            longer = bytearray(2 * len(self.data) + length)
            longer[:at] = memoryview(self.data)[:at]
            self.data = longer
        return at

    def head(self, major, number):
        """The head of an item: major type 0..7, 0 <= number < 2^64."""
        at = self._room(9)
        data = self.data
        major <<= 5
        if number < 24:
            data[at] = major | number
            self.at = at + 1
            return
        size = 1
        info = 24
        while number >> (size << 3):
            size <<= 1
            info += 1
            if size > 8:
                raise CborError("integer beyond 64 bits")
        data[at] = major | info
        self.at = at + 1 + size
        while size:
            data[at + size] = number & 255
            number >>= 8
            size -= 1

    def put(self, value):
        """An int, bytes, None or list (tuple)."""
        if value is None:
            self.raw(b"\xf6")
        elif isinstance(value, int):
            if value < 0:
                self.head(1, -1 - value)
            else:
                self.head(0, value)
        elif isinstance(value, (bytes, bytearray)):
            self.head(_BYTES, len(value))
            self.raw(value)
        else:
            self.head(_ARRAY, len(value))
            for item in value:
                self.put(item)

    def raw(self, data):
        """Bytes that are encoded already."""
        at = self._room(len(data))
        self.at = at + len(data)
        self.data[at : self.at] = data


def encode(value):
    """The encoding of one value as a bytearray."""
    writer = Writer(64)
    writer.put(value)
    return writer.data[: writer.at]
