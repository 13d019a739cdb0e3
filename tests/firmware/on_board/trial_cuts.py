"""Cut the power at every write of a trial, from the switch to the event that tells of its end, and let it go on.

boot.py, tally/place.py and tally/trial.py are the real ones; files are not written by them. The power goes before an
entry of non-volatile storage is written, or right behind it. Prints `lives N` for each kind of trial, the most that it
took, and a line `wrong ...` for each cut after which another agent runs than should, the counter is not used up, or
the chain tells another story.
"""

import os
import sys

from tally import hal, place
from tally import trial as trials

STORY = b"5 0.1.0 9.0.0"
EVENT = ("0.1.0", "9.0.0")


class Power:
    """Goes at operation `left`; -1 for never."""

    def __init__(self, left, late):
        self.left, self.late = left, late
        self.off = False

    def spend(self, write):
        if self.off:
            raise OSError(5)
        self.off = self.left == 0
        self.left -= 1
        if not self.off or self.late:
            write()
        if self.off:
            raise OSError(5)


class Store:
    """Non-volatile storage. It outlives a life; `power` is that of the life."""

    def __init__(self, entries):
        self.entries = entries
        self.power = None

    def __call__(self, name):
        return self

    def set_i32(self, key, value):
        self.power.spend(lambda: self.entries.__setitem__(key, int(value)))

    def set_blob(self, key, value):
        self.power.spend(lambda: self.entries.__setitem__(key, bytes(value)))

    def get_i32(self, key):
        if key not in self.entries:
            raise OSError(2)
        return self.entries[key]

    def get_blob(self, key, buffer):
        value = self.get_i32(key)
        buffer[: len(value)] = value
        return len(value)

    def commit(self):
        pass


class Chip:
    """`machine` and `esp32`, as far as a start asks them."""

    def __init__(self, store):
        self.NVS = store
        self.armed = []

    def WDT(self, timeout):
        self.armed.append("watchdog")

    class Timer:
        ONE_SHOT = 0

        def __init__(self, id):
            pass

        def init(self, mode, period, callback):
            CHIP[0].armed.append("timer")

        def deinit(self):
            CHIP[0].armed.remove("timer")


class Agent:
    """As much of one as a trial touches. It is its own board and chain; its link is down."""

    def __init__(self, store, chain, acknowledged):
        self.board = self.chain = self
        self.store, self.told = store, chain
        self.opened, self.upto = 7, 7 if acknowledged else 6
        self.fetch = None
        self.trial = place.state()

    def log(self, text):
        pass

    def event(self, code, before, after, undone):
        story = (code, before.decode(), after.decode(), undone)
        self.store.power.spend(lambda: self.told.append(story))


CHIP = [None]
PATH = list(sys.path)


def live(store, chain, new, good):
    """One life, to the next power cut or reset. new: where the new agent lies. True if nothing is left to do."""
    sys.path[:] = PATH
    CHIP[0] = sys.modules["machine"] = sys.modules["esp32"] = Chip(store)
    sys.modules.pop("boot", None)
    __import__("boot")
    if store.power.off:
        return False
    runs_new = place.here() == new
    trial = CHIP[0].armed == ["watchdog", "timer"]
    if trial != (runs_new and place.state() == place.TRIAL):
        print("wrong", "trial without its guards, or guards without a trial")
    if runs_new and not good:
        return False  # it dies at once
    agent = Agent(store, chain, True)
    try:
        while agent.trial is not None:
            trials.judge(agent)
    except OSError:
        return False
    return True


def one(new, good, counted, left, late):
    """All lives of a trial with one cut; how many lives it took."""
    old_bit, new_bit = (0, 1) if new else (1, 0)
    store = Store({"place": old_bit | 4 << 1})
    if counted:
        store.entries["upd_counter"] = (5).to_bytes(8, "big")
    chain = []
    hal.nvs = lambda: store
    store.power = Power(left, late)
    lives = 1
    while lives < 9 and not live(store, chain, new, good):
        lives += 1
        if store.power.off:
            store.power = Power(-1, False)
    right = store.entries["place"] == (new_bit if good else old_bit)
    counter = store.entries.get("upd_counter") == (5).to_bytes(8, "big")
    story = (6,) + EVENT + (0 if good else 1,)
    if not (right and counter and chain in ([story], [story, story])):
        print("wrong", new, good, counted, left, late, store.entries, chain)
    return lives


def main():
    for folder in ("b", "update"):
        os.mkdir(folder)
    with open("update/story", "wb") as file:
        file.write(STORY)
    for good in (True, False):
        most = 0
        for new in ("b/", ""):
            for counted in (True, False):
                for late in (False, True):
                    for left in range(-1, 16):
                        most = max(most, one(new, good, counted, left, late))
        print("lives", most)
    print("end")


main()
