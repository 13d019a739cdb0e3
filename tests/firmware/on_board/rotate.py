"""Cut the power at every operation of a key rotation, start the board again, and let it sign on.

Prints `life N STATE LIST`: STATE is old or new, LIST the records of that board in hex, with commas.
"""

import os

import flash
import tally
import vfs
from tally import birth, hal, opening, record
from tally import board as board_module
from tally.chain import Halted

BLOCKS = 48
tally.unload = lambda *names: None  # compiled anew each time, it would take the time of the cuts
hal.sleep_ms = lambda ms: None
TORN = (flash.HALF, flash.NONE)


class Off:
    def on(self):
        return None


class Setting:
    changed = 0

    def __getitem__(self, name):
        return {"journal_kib": 512, "ntp_host": None, "key": "flash"}[name]


board_module.Config = Setting


def opened(board):
    channels = [("level", "m", 0)]
    board.chain.sign(
        opening.opened,
        1790000000,
        board.boots,
        "1.0",
        bytes(16),
        0,
        None,
        channels,
        1000,
        None,
        None,
    )


class Life:
    def __init__(self, content, partition, power, eager):
        hal._failed.clear()
        self.power = power
        self.flash = flash.Flash(content, power)
        vfs.mount(vfs.VfsLfs2(self.flash), "/flash")
        os.chdir("/flash")
        hal.nvs = lambda: flash.NVS(partition, power, eager)
        try:
            self.board = board_module.Board()
        except Exception:
            self.end()
            raise

    def end(self):
        os.chdir("/")
        vfs.umount("/flash")
        self.power.off = True
        self.flash.dead = True  # a file that is collected later is closed, and reaches nothing


def records(board):
    journal = board.chain.journal
    return [bytes(journal.read(seq)) for seq in range(journal.last + 1)]


content = flash.blank(BLOCKS)
vfs.VfsLfs2.mkfs(flash.Flash(content, flash.Power()))
partition = {}
first = Life(content, partition, flash.Power(), False)
first.board.chain.begin()
opened(first.board)
first.board.chain.sign(record.event, 1790000000, 99, ())
device, old = first.board.device, first.board.key.public
first.end()
drawn = birth.draw(Off())  # one key for all lives: drawing one needs no storage
print("key", old.hex(), bytes(drawn[32:]).hex())

from tally import rotation

rotation.birth.draw = lambda radio: bytearray(drawn)


cells = bytearray(content)


def life(n, torn, eager):
    """Whether the power was cut."""
    cells[:] = content
    entries = dict(partition)
    power = flash.Power(n, torn)
    one = None
    try:
        one = Life(cells, entries, power, eager)
        rotation.rotate(one.board, Off())
        opened(one.board)
    except (OSError, Halted):
        if not power.off:
            raise
    cut = power.off
    if one is not None:
        one.end()
    again = Life(cells, entries, flash.Power(), eager)
    board = again.board
    state = "new" if board.key.public == bytes(drawn[32:]) else "old"
    if board.device != device or (state == "old" and board.key.public != old):
        state = "lost"
    if hal.blob(board.store, "key_next", 72):
        state = "undecided"
    opened(board)
    board.chain.sign(record.event, 1790000000, 99, ())
    print("life", n, state, ",".join([data.hex() for data in records(board)]))
    again.end()
    return cut


for eager in (False, True):
    for torn in TORN:
        n = 1
        while life(n, torn, eager):
            n += 1
