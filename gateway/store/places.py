"""Where a chain's records lie in the log, packed: pages of 48 places, each found by its number.

A page holds the places of seq `48 n` to `48 n + 47`, 16 bytes each, cut off behind the last one. Both
words of a place are little-endian; an empty place is 16 zeros::

    (leaf + 1) << 3 | kind
    time << 24 | start                  start: the first 24 bits of the record's id
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

__all__ = [
    "PLACES",
    "START_BYTES",
    "Place",
    "start_of",
    "starting",
    "unpack",
    "with_places",
]

PLACES: Final = 48  # a row of the database stays below a quarter of its page
START_BYTES: Final = 3
_START_BITS: Final = 8 * START_BYTES
_START: Final = (1 << _START_BITS) - 1
_PLACE: Final = struct.Struct("<QQ")
_BYTES: Final = _PLACE.size
_EMPTY: Final = bytes(_BYTES)


class Place(NamedTuple):
    """A record of a chain: its seq, its leaf, and what is asked for most. `start` are the first 24
    bits of its id.
    """

    seq: int
    leaf: int
    kind: int
    time: int
    start: int


def start_of(record_id: bytes) -> int:
    """The first 24 bits of an id."""
    return int.from_bytes(record_id[:START_BYTES], "big")


def unpack(number: int, page: bytes) -> list[Place]:
    """The places of page `number`, by seq."""
    first = number * PLACES
    return [
        Place(seq, (word >> 3) - 1, word & 7, told >> _START_BITS, told & _START)
        for seq, (word, told) in enumerate(_PLACE.iter_unpack(page), first)
        if word
    ]


def with_places(page: bytes, places: Iterable[Place]) -> bytes:
    """The page with these places in it. What is there stays: a seq never has two records."""
    grown = bytearray(page)
    for place in places:
        at = place.seq % PLACES * _BYTES
        if len(grown) < at + _BYTES:
            grown.extend(bytes(at + _BYTES - len(grown)))
        if grown[at : at + _BYTES] == _EMPTY:
            word = (place.leaf + 1) << 3 | place.kind
            _PLACE.pack_into(grown, at, word, place.time << _START_BITS | place.start)
    return bytes(grown)


def last_within(number: int, page: bytes, size: int) -> int | None:
    """The highest seq in page `number` whose leaf lies within the first `size`."""
    most = size << 3 | 7
    slots = [slot for slot, (word, _) in enumerate(_PLACE.iter_unpack(page)) if 0 < word <= most]
    return number * PLACES + slots[-1] if slots else None


def seqs_from(number: int, page: bytes, size: int) -> list[int]:
    """The seqs in page `number` whose leaf lies beyond the first `size`."""
    least = (size + 1) << 3
    first = number * PLACES
    return [seq for seq, (word, _) in enumerate(_PLACE.iter_unpack(page), first) if word >= least]


def starting(number: int, page: bytes, start: bytes) -> Iterator[Place]:
    """The places in page `number` of records whose id begins with `start`, 3 bytes."""
    wanted = start[::-1]
    at = page.find(wanted)
    while at >= 0:
        if at % _BYTES == _BYTES // 2:
            found = unpack(number, _only(page, at // _BYTES))
            yield from found
        at = page.find(wanted, at + 1)


def _only(page: bytes, slot: int) -> bytes:
    return bytes(slot * _BYTES) + page[slot * _BYTES : (slot + 1) * _BYTES]
