"""A day in the life of a board, as fast as it can: `main.py` on the simulated chip, where the wait for the next reading
is skipped. Everything else is as it is: console, broker, acknowledgements, journal.

Imported in the folder that is the flash of a provisioned board, with the chip's modules and those of the agent on the
path. It stands in for nobody's code, so it is to be compiled to native code, which lies outside the heap.

Prints `free SEQ BYTES` after every EVERY acknowledged records: free heap after a collection. Runs until it is killed.
"""

import gc

gc.threshold(1024)  # as main.py

from micropython import const  # noqa: E402 - after the line above, like all else
from tally import hal, life  # noqa: E402

_EVERY = const(250)
_LONG_QUEUE = const(40)  # longer, and the gateway is waited for

told = -1
skipped = 0
real = hal.uptime_ms
poll = life.Console.poll


def uptime_ms(begin=None):
    return real(begin) + skipped


def sleep_ms(ms):
    pass


def polled(console):
    global told, skipped
    poll(console)
    chain = console.board.chain
    if chain.upto // _EVERY > told:
        told = chain.upto // _EVERY
        gc.collect()
        print("free", chain.upto, gc.mem_free())
    if chain.queue() < _LONG_QUEUE:
        skipped += console.board.config["interval_ms"]


hal.uptime_ms = uptime_ms
hal.sleep_ms = sleep_ms
life.Console.poll = polled
life.live()
