"""The records of this board on flash, until a gateway has them and the space is needed.

A folder of segments. A segment is a file named after the seq of its first record (10 hex digits, `.log`)
and holds frames, in the order of seq without a gap: length (2 bytes), CRC-32 of the record, record.

Rules
* A record is in the journal when `append` has returned: written, and flushed to the flash.
* A frame that is not complete is a write that power cut off. At the next start it is cut away: it was never
  published, because only what is flushed is published.
* Whole segments leave, oldest first, and only by `drop_oldest`: the caller decides by acknowledgements.
* A segment is only ever appended to. The last one is read through at a start, the others by name alone.
"""

import os
from binascii import crc32

from micropython import const

SEGMENT_BYTES = const(8192)
MAX_RECORD_BYTES = const(2048)
_FRAME = const(6)
_SUFFIX = ".log"


class JournalError(Exception):
    """A record does not belong at the end of this journal."""


class Journal:
    """first..last: the seqs on flash, both None when there are none."""

    def __init__(self, folder="journal"):
        self._folder = folder
        self._file = None
        self._size = 0
        self._cursor = (None, 0, 0)  # segment, seq, offset: where the next read probably is
        try:
            os.mkdir(folder)
        except OSError:
            os.stat(folder)  # there already, or really broken
        self._starts = []
        for name in os.listdir(folder):
            if name.endswith(_SUFFIX) and len(name) == 14:
                self._starts.append(int(name[:10], 16))
            else:
                os.remove(folder + "/" + name)  # a cut that was itself cut off
        self._starts.sort()
        self.recover()

    def _path(self, start):
        return "%s/%010x%s" % (self._folder, start, _SUFFIX)

    @property
    def first(self):
        return self._starts[0] if self._starts else None

    def recover(self):
        """After a failed `append`: cut away what is incomplete, and go on behind what is good."""
        self._close()
        self._cursor = (None, 0, 0)
        self.last = None
        while self._starts and self.last is None:
            self._recover()

    def _recover(self):
        """Find the end of the last segment and cut away what is not a complete frame."""
        start = self._starts[-1]
        path = self._path(start)
        good = 0
        count = 0
        with open(path, "rb") as file:
            while True:
                record = _frame(file)
                if record is None:
                    break
                good += _FRAME + len(record)
                count += 1
        size = os.stat(path)[6]
        if not count:
            os.remove(path)
            self._starts.pop()
            return
        if size > good:
            self._cut(path, good)
        self.last = start + count - 1
        self._size = good

    def _cut(self, path, length):
        """There is no truncate: copy what is good, flush, rename over."""
        with open(path, "rb") as source, open(path + "~", "wb") as target:
            while length:
                piece = source.read(min(length, 512))
                target.write(piece)
                length -= len(piece)
            target.flush()
        os.rename(path + "~", path)

    def append(self, seq, record):
        """Keep a record for good. Numbers that are left out begin a new segment.

        Raises OSError where the flash does not take it; whether it is here then, `recover` finds out.
        """
        if self.last is not None and seq <= self.last:
            raise JournalError("seq %d is in the journal already" % seq)
        length = len(record)
        if length > MAX_RECORD_BYTES:
            raise JournalError("a record of %d bytes is too long" % length)
        full = self._size + _FRAME + length > SEGMENT_BYTES
        if self.last is None or full or seq != self.last + 1:
            self._close()
            # a segment counts when its file is there: a flash that refuses it leaves no name without one
            self._file = open(self._path(seq), "ab")
            self._starts.append(seq)
            self._size = 0
        if self._file is None:
            self._file = open(self._path(self._starts[-1]), "ab")
        frame = bytearray(_FRAME)
        frame[:2] = length.to_bytes(2, "big")
        frame[2:] = crc32(record).to_bytes(4, "big")
        self._file.write(frame)
        self._file.write(record)
        self._file.flush()
        self._size += _FRAME + length
        self.last = seq

    def read(self, seq):
        """The bytes of a record, or None if they are not here (any more)."""
        if self.last is None or not self._starts[0] <= seq <= self.last:
            return None
        start = self._starts[0]
        for candidate in self._starts:
            if candidate <= seq:
                start = candidate
        at, offset = start, 0
        if self._cursor[0] == start and self._cursor[1] <= seq:
            at, offset = self._cursor[1:]
        try:
            with open(self._path(start), "rb") as file:
                file.seek(offset)
                while at < seq:
                    head = file.read(_FRAME)
                    if len(head) < _FRAME:
                        return None
                    offset += _FRAME + int.from_bytes(head[:2], "big")
                    file.seek(offset)
                    at += 1
                record = _frame(file)
        except OSError:
            return None
        if record is not None:
            self._cursor = (start, seq + 1, offset + _FRAME + len(record))
        return record

    def oldest(self):
        """(first, last) seq of the oldest segment if it is not the one being written, else None."""
        if len(self._starts) < 2:
            return None
        return self._starts[0], self._starts[1] - 1

    def drop_oldest(self):
        os.remove(self._path(self._starts[0]))
        self._starts.pop(0)

    def clear(self):
        """Forget every record: the branch that they stand for was disowned."""
        self._close()
        while self._starts:
            # the newest first: what a cut leaves is then still a beginning, without a gap
            os.remove(self._path(self._starts[-1]))
            self._starts.pop()
        self.last = None
        self._cursor = (None, 0, 0)

    def size(self):
        """Upper bound of the bytes on flash."""
        return len(self._starts) * SEGMENT_BYTES

    def _close(self):
        if self._file is not None:
            self._file.close()
            self._file = None


def _frame(file):
    """The record of the next frame, or None where there is no complete one."""
    head = file.read(_FRAME)
    if len(head) < _FRAME:
        return None
    length = int.from_bytes(head[:2], "big")
    if not 0 < length <= MAX_RECORD_BYTES:
        return None
    record = file.read(length)
    if len(record) < length or crc32(record) != int.from_bytes(head[2:], "big"):
        return None
    return record
