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
from life import BLOCKS, KEY, Life, listed, say
from scenarios import prepared
from tally import hal

SEED, STRIDE = int(sys.argv[2]), int(sys.argv[3])
WORK = blank(BLOCKS)  # a dead life cannot reach it any more: its power is off


class CarelessLife(Life):
    """Of a board that publishes what it has not kept yet."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        append = self.chain.journal.append

        def early(seq, data):
            self.gateway.heard.append((seq, KEY.number(data)))
            append(seq, data)

        self.chain.journal.append = early


BOARD = CarelessLife if "careless" in sys.argv else Life


def run(place, gateway, number, power, eager, steps):
    """A life of these steps, until its power goes; whether it went, and what the last step answered."""
    life, answer = None, None
    try:
        life = BOARD(place, gateway, number, power, eager)
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
    for name, scenario in prepared(SEED):
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
