"""Take the flash, the files or the head away from a board that lives: what it reports, and how it goes on.

    micropython faults.py PATHS SEED STRIDE

In each scenario every STRIDE-th operation fails once, whole or torn, and the board lives on; once more with a flash
that raises straight through littlefs, as an ESP32's. Then the single faults:
flash or non-volatile storage that cannot be written, a full flash, lost files, lost heads. Prints the same lines as
`power_cuts.py`. As STATE: good | stuck (signs nothing any more) | silent (a fault that should have been reported was
not) | signed (it signed where it must not) | the name of an exception that is no report but a crash.
"""

import sys

sys.path[1:1] = sys.argv[1].split(":")

import os

from flash import BLOCK_BYTES, HALF, NONE, NVS, Power, blank
from life import BLOCKS, KEY, MOUNT, Life, listed, say
from scenarios import LONG, events, filled, heard_upto, lived, prepared, start
from tally import hal
from tally.chain import Halted

SEED, STRIDE = int(sys.argv[2]), int(sys.argv[3])
WORK = blank(BLOCKS)
TRIES = 4  # the agent tries again for ever


class Board:
    """A board that goes on through the faults of its flash as the agent does: what leaves the file system in doubt ends
    in a reset, in which nothing is closed. life: None if it does not come up. reported: whether it said anything."""

    def __init__(self, place, gateway, power, raises):
        self._arguments = (place, gateway, 1, power, False, raises)
        self._power = power
        self.reported = False
        self.read_only = False
        self._start()

    def _start(self):
        self.life = None
        for _ in range(TRIES):
            self._power.off = False
            try:
                self.life = Life(*self._arguments)
                self.life.flash.read_only = self.read_only
                return
            except OSError:
                self.reported = True

    def reset(self):
        self.life.end()
        self._start()

    def do(self, *steps):
        """The steps, each again after an error that was reported."""
        for step in steps:
            for _ in range(TRIES):
                if self.life is None:
                    return
                try:
                    step(self.life)
                    break
                except hal.FlashFault:
                    self.reported = True
                    self.reset()
                except OSError:
                    self.reported = True
                    try:
                        self.life.chain.drop_acknowledged()
                    except OSError:
                        pass  # as the agent does: it was reported already


def finish(name, store, n, torn, place, gateway, known, state, go_on=Life.go_on_unheard):
    """Start again after the disturbed life, go on, and print what was published."""
    between = len(gateway.heard)
    if state == "good":
        life = Life(place, gateway, 3)
        state = "good" if go_on(life) else "stuck"
        life.end()
    kept = hal.number(NVS(place.partition, Power()), "born")
    upto = -1 if gateway.told is None else gateway.told.upto
    lists = listed(gateway.heard[:between], known), listed(gateway.heard, between)
    say("cut", name, store, n, torn, 0, state, kept, upto, *lists)


def disturbed(place, gateway, steps, power, raises=False):
    """A life in which an operation fails; its state."""
    board = Board(place, gateway, power, raises)
    state = "good"
    try:
        board.do(*steps, events(2))
    except Halted:
        state = "stuck"
    except Exception as error:
        state = type(error).__name__
    if board.life is None:
        return "stuck"
    board.life.end()
    return state


def one_operation(name, scenario, raises):
    """Each operation fails once. raises: as an ESP32's partition fails, straight through littlefs."""
    power = Power()
    place, gateway, steps = scenario
    disturbed(place.copy(WORK), gateway.copy(), steps, power)
    if not raises:
        say("scenario", name, power.operations, listed(gateway.heard))
    # what is written to put a head back stands among the first operations
    first = range(1, 13) if name == "lost_head" else ()
    some = range(1 + (SEED + raises) % STRIDE, power.operations + 1, STRIDE)
    for n in sorted(set(first) | set(some)):
        for torn in (HALF, NONE):
            place, gateway = scenario[0].copy(WORK), scenario[1].copy()
            known = len(gateway.heard)
            state = disturbed(place, gateway, steps, Power(n, torn, True), raises)
            word = "torn" if torn == HALF else "clean"
            store = "raised" if raises else "fault"
            finish(name, store, n, word, place, gateway, known, state)


# --- faults that stay: each takes a board, and gives back whether the board reported it


def read_only_flash(board):
    """The flash refuses every write for a while, over resets, too."""
    board.reported = False
    board.read_only = board.life.flash.read_only = True
    board.do(events(1))
    board.read_only = board.life.flash.read_only = False
    return board.reported


def read_only_store(board):
    """Non-volatile storage does."""
    board.reported = False
    board.life.store.read_only = True
    board.do(events(1))
    board.life.store.read_only = False
    return board.reported


def full(board):
    """Somebody else's file takes all the space, and goes away again."""
    board.reported = False
    path = MOUNT + "/ballast"
    try:
        with open(path, "wb") as file:
            while True:
                file.write(bytes(512))
                file.flush()
    except OSError:
        pass
    for _ in range(8):
        board.do(events(3))
    os.remove(path)
    return board.reported


def refused_and_taken(board):
    """Each record is refused once, also where a segment begins; then the segments fill, and leave."""
    reported = True
    for _ in range(12):
        reported = read_only_flash(board) and reported
        board.do(events(1))
    for _ in range(70):
        board.life.event(LONG)
    return reported


def room_is_made(board):
    """On a full flash whose records are safe elsewhere nothing is to be reported: they leave."""
    return not full(board)


def lasting(name, fault, raises, *before):
    """silent: nothing was reported although the fault kept records away."""
    place, gateway = lived(start, events(12), *before)
    known = len(gateway.heard)
    say("scenario", name, 0, listed(gateway.heard))
    board = Board(place, gateway, Power(), raises)
    board.life.begin()
    try:
        state = "good" if fault(board) else "silent"
        if state == "good":
            board.do(events(4))
    except Exception as error:
        state = type(error).__name__
    board.life.end()
    finish(name, "fault", 0, "clean", place, gateway, known, state)


def corrupted(place):
    """Every block but the two of the root is written over: the file system is there, and its files are not."""
    for i in range(2 * BLOCK_BYTES, len(place.content), 64):
        place.content[i] ^= 0x5A


def damaged():
    """A start on a damaged file system, until somebody formats it: a fault that is told, nothing that is signed."""
    place, gateway = lived(start, events(25), heard_upto(0.7))
    known = len(gateway.heard)
    say("scenario", "damaged_file_system", 0, listed(gateway.heard))
    corrupted(place)
    board = Board(place, gateway, Power(), False)
    state = "good" if board.life is None and board.reported else "silent"
    if board.life is not None:
        board.life.end()
    place.format()
    finish("damaged_file_system", "loss", 0, "clean", place, gateway, known, state, Life.go_on)


# --- losses between two lives


def slots(place):
    """Names of the two slots of the head, the newer one first."""
    return sorted(("head_a", "head_b"), key=lambda name: place.partition[name][:8])[::-1]


def damage(place, slot):
    entry = place.partition[slot]
    place.partition[slot] = entry[:40] + ("0" if entry[40] != "0" else "1") + entry[41:]


def lose_newer(place, gateway):
    damage(place, slots(place)[0])


def lose_older(place, gateway):
    damage(place, slots(place)[1])


def lose_store(place, gateway):
    """All but the key, which `life.KEY` stands for. The newest records were not published yet."""
    place.partition = {"born": 1}
    del gateway.heard[-3:]


def lose_store_and_files(place, gateway):
    lose_store(place, gateway)
    place.format()


def lose_head_behind_gap(place, gateway):
    """The head is lost while the gateway lacks records in the middle that the board has pruned."""
    gateway.acknowledge(3)
    life = Life(place, gateway, 1)
    first = life.chain.journal.first
    life.end()
    gateway.heard = [one for one in gateway.heard if not 3 < one[0] < first]
    lose_store(place, gateway)


def loss(name, lose, headless, *before):
    """headless: nothing may be signed before the gateway has spoken."""
    place, gateway = lived(*before)
    lose(place, gateway)
    known = len(gateway.heard)
    say("scenario", name, 0, listed(gateway.heard))
    state = "good"
    life = Life(place, gateway, 1)
    if headless:
        try:
            events(1)(life)
            state = "signed"
        except Halted:
            pass
    life.end()
    finish(name, "loss", 0, "clean", place, gateway, known, state, Life.go_on)


def main():
    say("key", KEY.public.hex())
    for name, scenario in prepared(SEED):
        one_operation(name, scenario, False)
        one_operation(name, scenario, True)
    lasting("read_only_flash", read_only_flash, False)
    lasting("read_only_flash_raised", read_only_flash, True)
    lasting("read_only_flash_at_rotation", refused_and_taken, False, filled(1))
    lasting("read_only_store", read_only_store, False)
    damaged()
    lasting("full_flash", full, False)
    lasting("full_flash_acknowledged", room_is_made, False, filled(2), heard_upto(1))
    some = (start, events(20), heard_upto(0.6))
    loss("newer_slot", lose_newer, False, *some)
    loss("older_slot", lose_older, False, *some)
    loss("lost_store", lose_store, True, *some)
    loss("lost_store_and_files", lose_store_and_files, True, *some)
    loss("lost_head_behind_gap", lose_head_behind_gap, True, filled(2), events(20))
    for number, (data, _) in enumerate(KEY.records):
        say("record", number, data.hex())


main()
