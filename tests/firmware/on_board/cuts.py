"""Cut the power of a littlefs at every single write: what `append` has taken must be there afterwards.

A RAM disk counts writes and erases. Operation n writes half of the page, and none after it anything. Prints
`operations N`, then one line for each n that breaks the promise: `lost n`, `torn n`.
"""

import os

from tally import hal
from tally.journal import Journal

BLOCK = 4096
BLOCKS = 24
RECORDS = 12


class Disk:
    """Block device of littlefs. No method allocates once power is gone: finalisers call them, too."""

    def __init__(self, data, left):
        self.data = data
        self.view = memoryview(data)
        self.left = left  # operations until the power goes; -1 for never
        self.done = 0
        self.off = False

    def _goes(self):
        """Whether the power goes in the middle of this operation; OSError if it is gone already."""
        if self.off:
            raise OSError(5)  # also what a forgotten file tries when it is collected, lives later
        self.done += 1
        self.off = self.left == 0
        self.left -= 1
        return self.off

    def readblocks(self, number, buffer, offset=0):
        start = number * BLOCK + offset
        for i in range(len(buffer)):
            buffer[i] = self.data[start + i]

    def writeblocks(self, number, buffer, offset=0):
        start = number * BLOCK + offset
        gone = self._goes()
        for i in range(len(buffer) // 2 if gone else len(buffer)):
            self.data[start + i] = buffer[i]
        if gone:
            raise OSError(5)

    def ioctl(self, operation, argument):
        if operation == 4:
            return BLOCKS
        if operation == 5:
            return BLOCK
        if operation == 6:
            if self._goes():
                raise OSError(5)
            start = argument * BLOCK
            for i in range(BLOCK):
                self.data[start + i] = 0xFF
            return 0
        return 0


def record(seq):
    return b"record %04d " % seq + bytes([seq]) * (100 + 13 * seq % 90)


def life(data, left):
    """Append records until the power goes; how many were taken, and how many operations it took."""
    disk = Disk(data, left)
    hal._failed.clear()
    taken = 0
    try:
        os.mount(os.VfsLfs2(disk), "/lfs")
        try:
            journal = Journal("/lfs/journal")
            for seq in range(RECORDS):
                journal.append(seq, record(seq))
                taken += 1
        finally:
            os.umount("/lfs")
    except OSError:
        pass
    return taken, disk.done


def check(data, taken):
    hal._failed.clear()
    os.mount(os.VfsLfs2(Disk(data, -1)), "/lfs")
    journal = Journal("/lfs/journal")
    kept = 0 if journal.last is None else journal.last + 1
    good = all(journal.read(seq) == record(seq) for seq in range(kept))
    # and it goes on: behind what is there, a new record is found again
    journal.append(kept, record(kept))
    good = good and journal.read(kept) == record(kept)
    journal.close()
    os.umount("/lfs")
    return kept, good


def main():
    blank = bytearray(b"\xff" * (BLOCK * BLOCKS))
    os.VfsLfs2.mkfs(Disk(blank, -1))
    data = bytearray(blank)
    taken, operations = life(data, -1)
    print("taken", taken)
    print("operations", operations)
    for n in range(operations):
        data[:] = blank
        taken, _ = life(data, n)
        kept, good = check(data, taken)
        if kept < taken or kept > taken + 1:
            print("lost", n, taken, kept)
        if not good:
            print("torn", n)
    print("end")


if __name__ == "__main__":
    main()
