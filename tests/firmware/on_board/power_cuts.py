"""Cut the power at every operation of flash and non-volatile storage, start the board again, and let it go on.

    micropython power_cuts.py PATHS SEED STRIDE [careless]

PATHS: the agent and the simulated chip, separated by colons. STRIDE: only every so many-th operation is cut.
`careless` publishes a record before it is kept, to show that such a board is found out.

Prints, with lists as NUMBER,NUMBER of records:
    key HEX                             the board's public key
    scenario NAME OPERATIONS LIST       what the gateway had heard before
    cut NAME STORE N TORN AGAIN STATE BORN UPTO LIST LIST
                                        acknowledged, published until the last cut, published after it
    record NUMBER HEX                   the bytes, at the end
"""

import sys

sys.path[1:1] = sys.argv[1].split(":")

import random

from flash import HALF, NONE, NVS, Power, blank
from life import BLOCKS, KEY, Gateway, Life, Place
from tally import hal
from tally.journal import SEGMENT_BYTES

SEED, STRIDE = int(sys.argv[2]), int(sys.argv[3])
CARELESS = "careless" in sys.argv
WORK = blank(BLOCKS)  # a dead life cannot reach it any more: its power is off
LONG = 1400  # bytes in an event, where a segment is to be filled


def sizes(count):
    return [random.randrange(400) for _ in range(count)]


def lived(*steps):
    """Place and gateway after a life without a cut."""
    place, gateway = Place(), Gateway()
    life = Life(place, gateway, 0)
    for step in steps:
        step(life)
    life.end()
    return place, gateway


def start(life):
    life.genesis()
    life.begin()
    life.publish()


def filled(segments):
    """Up to the last bytes of so many segments."""

    def step(life):
        start(life)
        journal = life.chain.journal
        while journal.size() < segments * SEGMENT_BYTES or journal._size < SEGMENT_BYTES - 1700:
            life.event(LONG)

    return step


def events(count, acknowledge=False):
    """So many small events; after each the gateway may acknowledge."""
    chosen = sizes(count)

    def step(life):
        for size in chosen:
            life.event(size)
            if acknowledge:
                life.gateway.acknowledge()
                life.hear()

    return step


def heard_upto(share):
    """The gateway acknowledges this share of what it has heard."""

    def step(life):
        life.gateway.acknowledge(int((life.chain.head.next - 1) * share))
        life.hear()

    return step


# --- the scenarios: (place, gateway, what happens in the life that is cut)


def genesis():
    return Place(), Gateway(), (start, events(8))


def appends():
    place, gateway = lived(start, events(5))
    return place, gateway, (Life.begin, events(6), Life.beacon, events(4))


def rotation():
    place, gateway = lived(filled(1))
    return place, gateway, (Life.begin, events(11))


def acknowledgement():
    place, gateway = lived(filled(2))
    return place, gateway, (heard_upto(0.7), Life.begin, events(10, acknowledge=True))


def pruning():
    place, gateway = lived(filled(2), heard_upto(0.2))
    return place, gateway, (Life.begin, events(11))


def pruning_unheard():
    place, gateway = lived(filled(2))
    return place, gateway, (Life.begin, events(11))


def lost_files():
    place, gateway = lived(start, events(25), heard_upto(0.7), events(5))
    place.format()
    return place, gateway, (Life.hear, Life.begin, events(6))


def lost_head():
    place, gateway = lived(start, events(25), heard_upto(0.8))
    del gateway.heard[22:]
    for slot in ("head_a", "head_b"):
        entry = place.partition[slot]
        place.partition[slot] = entry[:-1] + ("0" if entry[-1] != "0" else "1")
    return place, gateway, (Life.hear, Life.begin, events(5))


def restored():
    """Flash and head of an earlier day: the gateway has more than the board ever signed."""
    place, gateway = lived(start, events(9))
    earlier = place.copy()
    life = Life(place, gateway, 7)
    events(20)(life)
    life.end()
    gateway.acknowledge()
    return earlier, gateway, (Life.hear, Life.begin, events(5))


def contradicted():
    """The gateway holds a shorter branch than the one that was acknowledged before."""
    place, gateway = lived(start, events(9))
    branch, other = place.copy(), gateway.copy()
    life = Life(place, gateway, 7)
    events(50)(life)
    heard_upto(1)(life)
    life.end()
    life = Life(branch, other, 8)
    events(9)(life)
    life.end()
    other.acknowledge()
    return place, other, (Life.hear, Life.begin, events(5))


SCENARIOS = (
    genesis,
    appends,
    rotation,
    acknowledgement,
    pruning,
    pruning_unheard,
    lost_files,
    lost_head,
    restored,
    contradicted,
)


def careless_event(life, size):
    """`Life.event` of a board that publishes what it has not kept yet."""
    append = life.chain.journal.append

    def early(seq, data):
        life.gateway.heard.append((seq, KEY.number(data)))
        append(seq, data)

    life.chain.journal.append = early
    Life.true_event(life, size)


if CARELESS:
    Life.true_event = Life.event
    Life.event = careless_event


def run(place, gateway, number, power, eager, steps):
    """A life of these steps, until its power goes; whether it went, and what the last step answered."""
    life, answer = None, None
    try:
        life = Life(place, gateway, number, power, eager)
        for step in steps:
            answer = step(life)
    except Exception:
        # what a dead board still raises harms nobody; one that lives must not raise at all
        if not power.off:
            raise
    cut = power.off
    if life is not None:
        life.end()
    return cut, answer


def say(*words):
    """One line in one write: `print` makes one of each word, which costs more here than a cut."""
    sys.stdout.write(" ".join([str(word) for word in words]) + "\n")


def listed(heard, start=0):
    return ",".join([str(number) for _, number in heard[start:]]) or "-"


def cut(name, scenario, eager, n, torn, again, deaf):
    """One cut, one more in the start that follows if `again`, then a life that goes on. The gateway acknowledges
    what was published before; a deaf one heard none of it."""
    place, gateway, steps = scenario
    place, gateway = place.copy(WORK), gateway.copy()
    known = len(gateway.heard)
    go_on = Life.go_on_unheard if deaf else Life.go_on
    went, _ = run(place, gateway, 1, Power(n, torn), eager, steps)
    if again:
        run(place, gateway, 2, Power(again, torn), eager, (go_on,))
    between = len(gateway.heard)
    _, good = run(place, gateway, 3, Power(), eager, (go_on,))
    state = ("good" if good else "stuck") if went else "uncut"
    born = hal.number(NVS(place.partition, Power()), "born")
    upto = -1 if gateway.told is None else gateway.told.upto
    lists = listed(gateway.heard[:between], known), listed(gateway.heard, between)
    store = "eager" if eager else "late"
    say(
        "cut", name, store, n, "torn" if torn == HALF else "clean", again, state, born, upto, *lists
    )


def main():
    say("key", KEY.public.hex())
    for build in SCENARIOS:
        name = build.__name__
        random.seed(SEED)
        scenario = build()
        for eager in (False, True):
            power = Power()
            place, gateway, steps = scenario[0].copy(WORK), scenario[1].copy(), scenario[2]
            known = listed(gateway.heard)
            run(place, gateway, 1, power, eager, steps)
            operations = power.operations
            say("scenario", name, operations, known)
            for n in range(1 + SEED % STRIDE, operations + 1, STRIDE):
                if eager:
                    if n % 3 == 1:
                        cut(name, scenario, True, n, NONE, 0, n & 2)
                    continue
                cut(name, scenario, False, n, HALF, 0, n & 1)
                cut(name, scenario, False, n, NONE, 0, not n & 1)
                if n % 4 == 1:
                    cut(name, scenario, False, n, HALF, 1 + random.randrange(60), n & 4)
    for number, (data, _) in enumerate(KEY.records):
        say("record", number, data.hex())


main()
