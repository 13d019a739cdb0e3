"""Parts of the virtual board's flash (`esp32.Partition`). The table and the bootloader are in otadata.py.

The bytes of a partition are the file `partitions/<label>.bin` beside the folder that is the board's flash; a partition
without a file is erased. `vfs` is that folder and `nvs` another file: their bytes are not there, and asking for them is
ENOTSUP, which a chip never says.

Rules, as on the chip
* Erasing sets blocks of 4,096 bytes to ones; programming only turns ones into zeros. `writeblocks` without an offset
  erases before. Beyond the end is an error.
* An error has a number and a name of ESP-IDF. `set_boot` refuses what is no program, or a damaged one.
* `world.json` makes errors: `{"storage": "flash broken"}` or `"flash read-only"` takes nothing more.
"""

import os

import otadata
from machine import world
from micropython import const

_BLOCK = const(4096)
_FOLDER = const("../partitions")
_FAIL = const((-1, "ESP_FAIL"))
_INVALID_ARG = const((-258, "ESP_ERR_INVALID_ARG"))
_INVALID_SIZE = const((-260, "ESP_ERR_INVALID_SIZE"))
_NOT_FOUND = const((-261, "ESP_ERR_NOT_FOUND"))
_NOT_VALID = const((-5379, "ESP_ERR_OTA_VALIDATE_FAILED"))
_ENOENT = const(2)
_ENOTSUP = const(95)
_ELSEWHERE = const(("vfs", "nvs", "otadata", "phy_init"))


def _found(label):
    for one in otadata.table():
        if one[0] == label:
            return one
    raise OSError(_ENOENT)


class Partition:
    """id: a label, BOOT (what starts next) or RUNNING. block_size: bytes, for readers of other file systems."""

    BOOT, RUNNING = 0, 1
    TYPE_APP, TYPE_DATA = 0, 1

    def __init__(self, id, block_size=_BLOCK):
        if isinstance(id, int):
            if id not in (self.BOOT, self.RUNNING):
                raise ValueError
            state = otadata.load()
            running = state["running"] or otadata.chosen(state)
            id = running if id == self.RUNNING else otadata.chosen(state)
        self._label, self._type, self._subtype, self._address, self._size = _found(id)
        self._block_size = block_size

    def __repr__(self):
        return "<Partition type=%d, subtype=%d, address=%d, size=%d, label=%s, encrypted=0>" % (
            self._type,
            self._subtype,
            self._address,
            self._size,
            self._label,
        )

    @staticmethod
    def find(type=TYPE_APP, subtype=0xFF, label=None, block_size=_BLOCK):
        """All that fit; subtype 0xFF is any."""
        return [
            Partition(one[0], block_size)
            for one in otadata.table()
            if one[1] == type and subtype in (0xFF, one[2]) and label in (None, one[0])
        ]

    def info(self):
        """(type, subtype, address, bytes, label, encrypted)"""
        return self._type, self._subtype, self._address, self._size, self._label, False

    def _place(self, block, offset, length):
        """The first byte, after the checks that the chip makes."""
        at = block * self._block_size + offset
        if at < 0 or at > self._size:
            raise OSError(*_INVALID_ARG)
        if at + length > self._size:
            raise OSError(*_INVALID_SIZE)
        if self._label in _ELSEWHERE:
            raise OSError(_ENOTSUP, "not simulated")
        return at

    def _path(self):
        return "%s/%s.bin" % (_FOLDER, self._label)

    def _writable(self):
        if world().get("storage") in ("flash broken", "flash read-only"):
            raise OSError(*_FAIL)
        try:
            return open(self._path(), "r+b")
        except OSError:
            if _FOLDER.rsplit("/", 1)[1] not in os.listdir(".."):
                os.mkdir(_FOLDER)
        with open(self._path(), "wb") as file:
            blank = b"\xff" * _BLOCK
            for _ in range(self._size // _BLOCK):
                file.write(blank)
        return open(self._path(), "r+b")

    def readblocks(self, block, buffer, offset=0):
        at = self._place(block, offset, len(buffer))
        view = memoryview(buffer)
        try:
            with open(self._path(), "rb") as file:
                file.seek(at)
                count = file.readinto(view)
        except OSError:
            count = 0
        for i in range(count, len(view)):
            view[i] = 0xFF

    def writeblocks(self, block, buffer, offset=None):
        at = self._place(block, offset or 0, len(buffer))
        if offset is None and len(buffer) % _BLOCK:
            raise OSError(*_INVALID_SIZE)
        with self._writable() as file:
            if offset is not None:
                cells = bytearray(len(buffer))
                file.seek(at)
                file.readinto(cells)
                for i, value in enumerate(memoryview(buffer)):
                    cells[i] &= value
                buffer = cells
            file.seek(at)
            file.write(buffer)
            file.flush()

    def ioctl(self, operation, argument):
        if operation in (1, 2, 3):
            return 0
        if operation == 4:
            return self._size // self._block_size
        if operation == 5:
            return self._block_size
        if operation != 6:
            return None
        if self._block_size != _BLOCK:
            return -22  # EINVAL
        at = self._place(argument, 0, _BLOCK)
        with self._writable() as file:
            file.seek(at)
            file.write(b"\xff" * _BLOCK)
            file.flush()
        return 0

    def set_boot(self):
        """Start this program after the next reset."""
        if self._type != self.TYPE_APP:
            raise OSError(*_INVALID_ARG)
        if not otadata.programs():
            raise OSError(*_NOT_FOUND)
        if self._label != otadata.load()["running"]:  # that one has proven itself
            try:
                file = open(self._path(), "rb")
            except OSError:
                raise OSError(*_NOT_VALID) from None
            with file:
                if otadata.image_fault(file, self._size):
                    raise OSError(*_NOT_VALID)
        otadata.set_boot(self._label)

    def get_next_update(self):
        """Where the update after this program goes. Raises OSError where there is no place for one."""
        labels = [one[0] for one in otadata.programs()]
        if not labels:
            raise OSError(_ENOENT)
        at = labels.index(self._label) + 1 if self._label in labels else 0
        return Partition(labels[at % len(labels)])

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        """This program works: the next start takes it again."""
        if not otadata.programs():
            raise OSError(*_NOT_FOUND)
        if not otadata.confirm():
            raise OSError(*_FAIL)
