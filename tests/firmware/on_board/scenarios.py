"""What happens to a board in the tests that take its power or its flash away: lives without a cut, to cut into.

Each scenario is a function that returns the place and the gateway as they are before, and the steps of the life
that is disturbed. `random` has to be seeded before; it chooses the sizes of records.
"""

import random

from life import Gateway, Life, Place
from tally.journal import SEGMENT_BYTES

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
        while journal.size() < segments * SEGMENT_BYTES or journal.length < SEGMENT_BYTES - 1700:
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
    for _ in range(50):
        life.event(0)  # small: the record that they contradict each other about is still there
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


def prepared(seed):
    """[(name, (place, gateway, steps))]."""
    out = []
    for build in SCENARIOS:
        random.seed(seed)
        out.append((build.__name__, build()))
    return out
