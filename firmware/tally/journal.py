"""The records of this board on flash, until a gateway has them and the space is needed.

A folder of segments. A segment is a file named after the seq of its first record (10 hex digits, `.log`)
and holds frames, in the order of seq without a gap: length (2 bytes), CRC-32 of the record, record.

Rules
* A record is in the journal when `append` has returned: written, and flushed to the flash.
* A frame that is not complete is a write that power cut off. At the next start it is cut away: it was never
  published, because only what is flushed is published.
* Whole segments leave, oldest first, and only by `drop_oldest`: the caller decides by acknowledgements.
* A segment is only ever appended to. The last one is read through at a start, the others by name alone
  (tally/repair.py).
* A flash that fails, other than by being full, is not touched again before a reset (tally/hal.py).
"""

import os
from binascii import crc32

from micropython import const

from tally import hal, once

SEGMENT_BYTES = const(8192)
MAX_RECORD_BYTES = const(2048)
FRAME = const(6)
SUFFIX = ".log"
PATIENCE = const(3)  # failures of the flash in a row until what cannot be read counts as lost
_NOWHERE = const((None, 0, 0))


class JournalError(Exception):
    """A record does not belong at the end of this journal."""


class Journal:
    """first..last: the seqs on flash, both None when there are none."""

    def __init__(self, folder="journal"):
        self.folder = folder
        self.file = None  # open for the last segment
        self.length = 0  # of the last segment, bytes
        self.cursor = _NOWHERE  # segment, seq, offset: where the next read probably is
        self.starts = []  # first seqs of the segments
        self.last = None
        once("repair", "find", self)

    def path(self, start):
        return "%s/%010x%s" % (self.folder, start, SUFFIX)

    @property
    def first(self):
        return self.starts[0] if self.starts else None

    def recover(self):
        """After a failed `append`: cut away what is incomplete, and go on behind what is good."""
        once("repair", "recover", self)

    def append(self, seq, record):
        """Keep a record for good. Numbers that are left out begin a new segment.

        Raises OSError where the flash does not take it; whether it is here then, `recover` finds out.
        """
        if self.last is not None and seq <= self.last:
            raise JournalError("seq %d is in the journal already" % seq)
        length = len(record)
        if length > MAX_RECORD_BYTES:
            raise JournalError("a record of %d bytes is too long" % length)
        hal.flash_check()
        try:
            self._write(seq, record, length)
        except OSError as error:
            hal.flash_check(error, self.file)
            raise
        self.length += FRAME + length
        self.last = seq

    def _write(self, seq, record, length):
        full = self.length + FRAME + length > SEGMENT_BYTES
        if self.last is None or full or seq != self.last + 1:
            self.close()
            # a segment counts when its file is there: a flash that refuses it leaves no name without one
            self.file = open(self.path(seq), "ab")
            self.starts.append(seq)
            self.length = 0
        if self.file is None:
            self.file = open(self.path(self.starts[-1]), "ab")
        self.file.write(length.to_bytes(2, "big") + crc32(record).to_bytes(4, "big"))
        self.file.write(record)
        self.file.flush()

    def read(self, seq):
        """The bytes of a record, or None if they are not here (any more), or cannot be read for long."""
        if self.last is None or not self.starts[0] <= seq <= self.last:
            return None
        hal.flash_check()
        start = self.starts[0]
        for candidate in self.starts:
            if candidate <= seq:
                start = candidate
        at, offset = start, 0
        if self.cursor[0] == start and self.cursor[1] <= seq:
            at, offset = self.cursor[1:]
        try:
            with open(self.path(start), "rb") as file:
                file.seek(offset)
                while at < seq:
                    head = file.read(FRAME)
                    if len(head) < FRAME:
                        return None
                    offset += FRAME + int.from_bytes(head[:2], "big")
                    file.seek(offset)
                    at += 1
                record = frame(file)
        except OSError as error:
            if once("rtc", "flash_faults") < PATIENCE:
                hal.flash_check(error)
            return None
        if record is not None:
            self.cursor = (start, seq + 1, offset + FRAME + len(record))
        return record

    def oldest(self):
        """(first, last) seq of the oldest segment if it is not the one being written, else None."""
        if len(self.starts) < 2:
            return None
        return self.starts[0], self.starts[1] - 1

    def drop_oldest(self):
        hal.flash_check()
        try:
            os.remove(self.path(self.starts[0]))
        except OSError as error:
            hal.flash_check(error)
            raise
        self.starts.pop(0)

    def clear(self):
        """Forget every record: the branch that they stand for was disowned."""
        once("repair", "clear", self)

    def size(self):
        """Upper bound of the bytes on flash."""
        return len(self.starts) * SEGMENT_BYTES

    def close(self):
        if self.file is not None:
            self.file.close()
            self.file = None


def frame(file):
    """The record of the next frame, or None where there is no complete one."""
    head = file.read(FRAME)
    if len(head) < FRAME:
        return None
    length = int.from_bytes(head[:2], "big")
    if not 0 < length <= MAX_RECORD_BYTES:
        return None
    record = file.read(length)
    if len(record) < length or crc32(record) != int.from_bytes(head[2:], "big"):
        return None
    return record
