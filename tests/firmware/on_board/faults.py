"""Take the flash, the files or the head away from a board that lives: what it reports, and how it goes on.

    micropython faults.py PATHS SEED STRIDE

In each scenario every STRIDE-th operation fails once, whole or torn, and the board lives on. Then the single faults:
flash or non-volatile storage that cannot be written, a full flash, lost files, lost heads. Prints the same lines as
`power_cuts.py`. As STATE: good | stuck (signs nothing any more) | silent (a fault that should have been reported was
not) | signed (it signed where it must not) | the name of an exception that is no report but a crash.
"""

import sys

sys.path[1:1] = sys.argv[1].split(":")

import os

from flash import HALF, NONE, NVS, Power, blank
from life import BLOCKS, KEY, MOUNT, Life, listed, say
from scenarios import LONG, events, filled, heard_upto, lived, prepared, start
from tally import hal
from tally.chain import Halted

SEED, STRIDE = int(sys.argv[2]), int(sys.argv[3])
WORK = blank(BLOCKS)
TRIES = 4  # the agent tries again for ever


def born(place, power, gateway):
    """A life; a board that could not come up is started again."""
    for _ in range(TRIES):
        try:
            return Life(place, gateway, 1, power)
        except OSError:
            power.off = False
    return None


def tried(life, step):
    """One step, again after each error that the agent reports; whether there was one."""
    reported = False
    for _ in range(TRIES):
        try:
            step(life)
            break
        except OSError:
            reported = True
            try:
                life.chain.drop_acknowledged()
            except OSError:
                pass  # as the agent does: it was reported already
    return reported


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


def disturbed(place, gateway, steps, power):
    """A life in which an operation fails; its state."""
    life = born(place, power, gateway)
    if life is None:
        return "stuck"
    state = "good"
    try:
        for step in steps + (events(2),):
            tried(life, step)
    except Halted:
        state = "stuck"
    except Exception as error:
        state = type(error).__name__
    life.end()
    return state


def one_operation(name, scenario):
    """Each operation fails once."""
    power = Power()
    place, gateway, steps = scenario
    disturbed(place.copy(WORK), gateway.copy(), steps, power)
    say("scenario", name, power.operations, listed(gateway.heard))
    for n in range(1 + SEED % STRIDE, power.operations + 1, STRIDE):
        for torn in (HALF, NONE):
            place, gateway = scenario[0].copy(WORK), scenario[1].copy()
            known = len(gateway.heard)
            state = disturbed(place, gateway, steps, Power(n, torn, True))
            word = "torn" if torn == HALF else "clean"
            finish(name, "fault", n, word, place, gateway, known, state)


# --- faults that stay: each takes a life, and gives back whether the board reported it


def not_written(what):
    """Flash or non-volatile storage refuses every write for a while."""

    def fault(life):
        getattr(life, what).read_only = True
        reported = tried(life, events(1))
        getattr(life, what).read_only = False
        return reported

    return fault


def full(life):
    """Somebody else's file takes all the space, and goes away again."""
    reported = False
    path = MOUNT + "/ballast"
    try:
        with open(path, "wb") as file:
            while True:
                file.write(bytes(512))
                file.flush()
    except OSError:
        pass
    for _ in range(8):
        reported = tried(life, events(3)) or reported
    os.remove(path)
    return reported


def refused_and_taken(life):
    """Each record is refused once, also where a segment begins; then the segments fill, and leave."""
    reported = True
    for _ in range(12):
        reported = not_written("flash")(life) and reported
        events(1)(life)
    for _ in range(70):
        life.event(LONG)
    return reported


def room_is_made(life):
    """On a full flash whose records are safe elsewhere nothing is to be reported: they leave."""
    return not full(life)


def lasting(name, fault, *before):
    """silent: nothing was reported although the fault kept records away."""
    place, gateway = lived(start, events(12), *before)
    known = len(gateway.heard)
    say("scenario", name, 0, listed(gateway.heard))
    life = Life(place, gateway, 1)
    life.begin()
    try:
        state = "good" if fault(life) else "silent"
        if state == "good":
            events(4)(life)
    except Exception as error:
        state = type(error).__name__
    life.end()
    finish(name, "fault", 0, "clean", place, gateway, known, state)


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
        one_operation(name, scenario)
    lasting("read_only_flash", not_written("flash"))
    lasting("read_only_flash_at_rotation", refused_and_taken, filled(1))
    lasting("read_only_store", not_written("store"))
    lasting("full_flash", full)
    lasting("full_flash_acknowledged", room_is_made, filled(2), heard_upto(1))
    some = (start, events(20), heard_upto(0.6))
    loss("newer_slot", lose_newer, False, *some)
    loss("older_slot", lose_older, False, *some)
    loss("lost_store", lose_store, True, *some)
    loss("lost_store_and_files", lose_store_and_files, True, *some)
    loss("lost_head_behind_gap", lose_head_behind_gap, True, filled(2), events(20))
    for number, (data, _) in enumerate(KEY.records):
        say("record", number, data.hex())


main()
