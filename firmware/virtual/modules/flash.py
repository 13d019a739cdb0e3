"""Flash and non-volatile storage of a board that loses its power, or its flash, whenever a test wants it.

This is a simulator, for MicroPython's unix port: no real board runs it. It exists because a power cut at a
chosen write cannot be had from hardware, and because the answer has to be the same every time.

    power = Power()                         # counts; Power(71) cuts at operation 71, Power(71, HALF) tears it
    flash = Flash(blank(64), power)
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    store = NVS({}, power)                  # as esp32.NVS; the dictionary is the partition
    ...
    vfs.umount("/flash")                    # the reboot: new objects on the bytes and the partition that are left
    flash = Flash(flash.content, Power())

What it keeps of NOR flash
* Erasing sets a block of 4,096 bytes to ones, programming only turns ones into zeros.
* An operation is one call to program, one erase, or one entry that non-volatile storage writes. Reading changes
  nothing, so that a cut at a read is a cut before the next operation.
* A torn operation leaves its first half: of the bytes, of the block. What the cells do in between is not simulated.

What it keeps of ESP-IDF's non-volatile storage
* An entry is the old one or the new one, never a mixture. A torn entry is the new one: it was written, and the
  power went before anybody knew.
* A value that was set and not committed is lost, or, with `eager`, there already. ESP-IDF promises neither.

Rules
* After a cut every call fails with error 5, for good: an object of the life before, which the garbage collector
  finds later, does not reach the flash of the next one.
* The calls of the block device allocate nothing: littlefs makes them from finalisers, too, where the heap is locked.
"""

from collections import OrderedDict

import esp32
from micropython import const

BLOCK_BYTES = const(4096)
WHOLE = const(0)  # what becomes of an operation; how often its length is halved
HALF = const(1)
NONE = const(2)

_NVS_ENTRY_BYTES = const(32)
_EIO = const(5)
_EROFS = const(30)


@micropython.viper
def _program(cells: ptr8, at: int, source: ptr8, length: int):
    for i in range(length):
        cells[at + i] = cells[at + i] & source[i]


@micropython.viper
def _erase(cells: ptr8, at: int, length: int):
    for i in range(length):
        cells[at + i] = 0xFF


@micropython.viper
def _read(cells: ptr8, at: int, target: ptr8, length: int):
    for i in range(length):
        target[i] = cells[at + i]


def blank(blocks):
    """The content of a flash of so many blocks as it leaves the factory."""
    content = bytearray(blocks * BLOCK_BYTES)
    _erase(content, 0, len(content))
    return content


class Power:
    """What flash and non-volatile storage have in common. operations: how many there were. off: it is cut."""

    def __init__(self, fails_at=0, torn=NONE, returns=False):
        """fails_at: number of the operation that fails, from 1; 0 for none. torn: HALF or NONE of it happens.
        returns: only that operation fails, as on a bad contact, and the board lives on."""
        self.operations = 0
        self.off = False
        self._fails_at = fails_at
        self._torn = torn
        self._returns = returns

    def spend(self):
        """One operation: how much of it happens, WHOLE, HALF or NONE."""
        if self.off:
            return NONE
        self.operations += 1
        if self.operations != self._fails_at:
            return WHOLE
        self.off = not self._returns
        return self._torn


class Flash:
    """Block device of the extended protocol. programmed: bytes. erases: blocks. read_only: refuses to change. dead: the
    reset came, nothing of this object reaches the flash any more.

    What fails returns the negative error number, which littlefs takes in good order; or, with `raises`, raises
    straight through littlefs as the ESP32's partitions do: then a mount is not to be used any more after the first
    error, and no file of it closed.
    """

    def __init__(self, content, power, raises=False):
        """content: bytearray of whole blocks; it is the flash, and outlives this object."""
        self.content = content
        self.power = power
        self._raises = raises
        self.dead = False
        self.read_only = False
        self.programmed = 0
        self.erases = 0

    def readblocks(self, block, buffer, offset=0):
        if self.power.off or self.dead:
            return self._fail(_EIO)
        _read(self.content, block * BLOCK_BYTES + offset, buffer, len(buffer))
        return 0

    def writeblocks(self, block, buffer, offset=None):
        """Program. Without an offset whole blocks, erased before."""
        if offset is None:
            for i in range(len(buffer) // BLOCK_BYTES):
                error = self.ioctl(6, block + i)
                if error:
                    return error
            offset = 0
        part = self._begin()
        if part < 0:
            return part
        length = len(buffer) >> part
        self.programmed += length
        _program(self.content, block * BLOCK_BYTES + offset, buffer, length)
        return 0 if part == WHOLE else self._fail(_EIO)

    def ioctl(self, operation, argument):
        if operation == 4:
            return len(self.content) // BLOCK_BYTES
        if operation == 5:
            return BLOCK_BYTES
        if operation != 6:
            return 0
        part = self._begin()
        if part < 0:
            return part
        self.erases += 1
        _erase(self.content, argument * BLOCK_BYTES, BLOCK_BYTES >> part)
        return 0 if part == WHOLE else self._fail(_EIO)

    def _fail(self, number):
        if self._raises and not self.dead:
            raise OSError(number)
        return -number

    def _begin(self):
        """How much of an operation happens; an error number where none of it does."""
        if self.dead:
            return -_EIO
        if self.read_only:
            return self._fail(_EROFS)
        part = self.power.spend()
        return self._fail(_EIO) if part == NONE else part


class NVS(esp32.NVS):
    """A name space of non-volatile storage. programmed: bytes, as ESP-IDF lays entries out, without its pages'
    own headers and erases (one for each 126 entries of 32 bytes)."""

    def __init__(self, partition, power, eager=False):
        """partition: dictionary that outlives this object."""
        self.programmed = 0
        self.read_only = False
        self._partition = partition
        self.power = power
        self._eager = eager
        self._changes = OrderedDict()  # key: value, or None if erased

    def _find(self, key):
        return self._changes[key] if key in self._changes else self._partition.get(key)

    def _set(self, key, value):
        super()._set(key, value)
        if self._eager:
            self.commit()

    def erase_key(self, key):
        super().erase_key(key)
        if self._eager:
            self.commit()

    def commit(self):
        for key in list(self._changes):
            if self.read_only:
                raise OSError(_EROFS)
            part = self.power.spend()
            if part != NONE:
                self._write(key, self._changes[key])
            if part != WHOLE:
                raise OSError(_EIO)
            del self._changes[key]

    def _write(self, key, value):
        if value is None:
            self._partition.pop(key, None)
            return
        self._partition[key] = value
        entries = 1
        if isinstance(value, str):  # a blob, in hex: an index, a header and its bytes
            entries = 2 + (len(value) // 2 + _NVS_ENTRY_BYTES - 1) // _NVS_ENTRY_BYTES
        self.programmed += entries * _NVS_ENTRY_BYTES
