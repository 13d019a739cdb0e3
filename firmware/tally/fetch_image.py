"""An update of the program itself, MicroPython, into the other slot of the flash (docs/format.md, 6.1).

1. The slot is the one that the running program does not start from; a board without one refuses.
2. Piece after piece: a block is erased when its first byte comes, a piece counts when it is read back and has its hash.
   After a power cut the pieces that are right stay, and the one that was under way begins anew.
3. At the end all of it is read back once more. Then the story, the mark that a trial begins, the slot, the counter.
4. The bootloader takes the program before if this one starts a second time without having proven itself.
"""

import sys
from hashlib import sha256

from esp32 import Partition
from micropython import const

from tally import once, place, update
from tally.fetch import Fetch, file_hash

_BLOCK = const(4096)
_STEP = const(512)


def slot():
    """Where the update goes. Raises Refused."""
    try:
        return Partition(Partition.RUNNING).get_next_update()
    except OSError:
        raise update.Refused("target", "this board has no slot for another program") from None


class FetchImage(Fetch):
    """As Fetch. slot: the partition that is written."""

    def __init__(self, agent, fields):
        self.slot = slot()
        super().__init__(agent, fields)
        self._buffer = bytearray(_STEP)

    def write(self, path, data):
        if path == place.INDEX:
            Fetch.write(self, path, data)
            return
        at = _offset(path) + self.have
        for block in range((at + _BLOCK - 1) // _BLOCK, (at + len(data) - 1) // _BLOCK + 1):
            self.slot.ioctl(6, block)
        self.slot.writeblocks(at // _BLOCK, data, at % _BLOCK)

    def complete(self):
        path, size, digest = self.job
        if path == place.INDEX:
            Fetch.complete(self)
            return
        self.have = 0
        self.asked_ms = None
        if self._hash(path, size) == digest:
            self.job = None
            self.done += size
        else:
            self.failed(path)

    def is_here(self, path, size, digest):
        """What was there before a power cut, and what the running program and the new one have in common."""
        if self._hash(path, size) == digest:
            self.done += size
            return True
        self.job = (path, size, digest)
        self.have = 0
        return False

    def survey(self):
        at = 0
        with open(place.INDEX, "rb") as file:
            for line in file:
                path, size, _ = self.parsed(line)
                if _offset(path) != at or at % _BLOCK:
                    raise update.Refused("index", "the pieces leave a hole at %d" % at)
                at += size
        self.total = at
        if at > self.slot.info()[3]:
            raise update.Refused("space", "%d bytes, the slot has %d" % (at, self.slot.info()[3]))

    def good(self):
        if file_hash(place.INDEX) != self.index:
            return False
        with open(place.INDEX, "rb") as file:
            for line in file:
                path, size, digest = self.parsed(line)
                if self._hash(path, size) != digest:
                    return False
        return True

    def start_over(self):
        """The pieces that are wrong are fetched again."""

    def switch(self):
        running = sys.implementation.version
        once("files", "replace", place.STORY, self.story("micropython-%d.%d.%d" % running[:3]))
        place.switch_image(self.slot)
        try:
            self.slot.set_boot()
        except OSError as error:
            place.forget_image()
            raise update.Refused("target", "no program: error %s" % error.args[0]) from None

    def inside(self, path):
        digits = path[6:]
        good = all(one in "0123456789abcdef" for one in digits)
        return path.startswith("image/") and len(digits) == 8 and good

    def _hash(self, path, size):
        at = _offset(path)
        total = sha256()
        view = memoryview(self._buffer)
        while size:
            length = min(size, _STEP)
            self.slot.readblocks(at // _BLOCK, view[:length], at % _BLOCK)
            total.update(view[:length])
            at += length
            size -= length
        return total.digest()


def _offset(path):
    return int(path[6:], 16)


def chip():
    """Number of the chip that the running program is made for, None if that cannot be read."""
    head = bytearray(16)
    try:
        Partition(Partition.RUNNING).readblocks(0, head, 0)
    except OSError:
        return None
    return head[12] | head[13] << 8 if head[0] == 0xE9 else None
