"""A day in the life of a board, as fast as it can: `main.py` on the simulated chip, where the wait for the next reading
is skipped. Everything else is as it is: console, broker, acknowledgements, journal.

    micropython day.py ROM          in the folder that is the flash of a provisioned board

Prints `free SEQ BYTES` after every EVERY acknowledged records: free heap after a collection. Runs until it is killed.
"""

import gc
import sys

sys.path[:] = [sys.argv[1], "", "lib", ".frozen"]
gc.threshold(1024)  # as main.py

from tally import hal, life
from tally.console import Console

told = -1
skipped = 0
real = hal.uptime_ms
hal.uptime_ms = lambda begin=None: real(begin) + skipped
poll = Console.poll
hal.sleep_ms = lambda ms: None


def polled(console):
    global told, skipped
    poll(console)
    chain = console.board.chain
    if chain.upto // 250 > told:
        told = chain.upto // 250
        gc.collect()
        print("free", chain.upto, gc.mem_free())
    if chain.queue() < 40:  # longer, and the gateway is waited for
        skipped += console.board.config["interval_ms"]


Console.poll = polled
life.live()
