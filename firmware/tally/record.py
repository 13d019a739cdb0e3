"""The payloads of the five kinds of record (docs/format.md, 4), written straight into a draft (cose.draft).

Rules
* out is the draft; each function begins it anew. Nothing is built in between: a record takes a kilobyte of the heap.
* Only the board's own code builds them, from typed arguments: bytes from outside are never signed.
* head is the tuple (seq, prev, time): the place in the chain, the id of the record before (32 bytes) and
  Unix seconds, or seconds since boot while the clock is not set.
* Text is a byte string that holds UTF-8. Every value and difference lies within 64 bits.
"""

from hashlib import sha256

from micropython import const

_GENESIS = b"tallystick/v1/genesis\n"

# clock sources
CLOCK_UNSET = const(0)
CLOCK_HAND = const(1)
CLOCK_NTP = const(2)
CLOCK_GNSS = const(3)
CLOCK_MODEM = const(4)
CLOCK_ACKNOWLEDGEMENT = const(5)

# event codes
CLOCK = const(0)
DROPPED = const(1)
PRUNED = const(2)
ADOPTED = const(3)
CONFIG = const(4)
SENSOR = const(5)
SENSOR_GOOD = const(0)
SENSOR_FAILED = const(1)
SENSOR_OUT_OF_RANGE = const(2)


class RecordError(Exception):
    """A value does not fit into a record."""


def genesis_prev(public):
    """`prev` of the record with seq 0."""
    return sha256(_GENESIS + public).digest()


def begin(out, head, kind, count):
    """What all records begin with; count: items that follow."""
    out.begin()
    out.head(4, 4 + count)
    for item in head:
        out.put(item)
    out.put(kind)


def column(out, values):
    """First non-null value, then differences to the last non-null one; None where there is none."""
    last = 0
    out.head(4, len(values))
    for value in values:
        if value is None:
            out.put(None)
            continue
        difference = value - last
        if value >> 63 not in (0, -1) or difference >> 63 not in (0, -1):
            raise RecordError("a value does not fit into 64 bits")
        out.put(difference)
        last = value


def readings(out, head, boot, interval, columns):
    """boot: seq of the `open` in force. interval: ticks between readings, 0 for one reading, or a list of the
    n-1 differences. columns: one list of n values (int or None) for each channel."""
    begin(out, head, 1, 2 + len(columns))
    out.put(boot)
    out.put(interval)
    for values in columns:
        column(out, values)


def beacon(out, head, milestone, checkpoint, nonce, queue):
    """What follows in the chain is younger than the milestone. queue: records not acknowledged yet."""
    begin(out, head, 2, 4)
    for item in (milestone, checkpoint, nonce, queue):
        out.put(item)


def event(out, head, code, arguments):
    """Something that happened to the board; the arguments are those of the code's table."""
    begin(out, head, 3, 1 + len(arguments))
    out.put(code)
    for item in arguments:
        out.put(item)


def place(payload):
    """(seq, prev) of an encoded payload of this board: an array that starts with seq and a 32-byte prev."""
    # The array head is one byte up to 23 elements, else two.
    at = 2 if payload[0] == 0x98 else 1
    info = payload[at] & 31
    at += 1
    if info < 24:
        seq = info
    else:
        size = 1 << (info - 24)
        seq = int.from_bytes(payload[at : at + size], "big")
        at += size
    return seq, bytes(payload[at + 2 : at + 34])
