"""The life of a board from power-on: bring it up, then console and agent for ever.

1. Bring the board up (tally/start.py): key (made at the first start), settings, journal, head. A flash that cannot be
   read is tried anew by a reset, later each time.
2. A provisioned board starts its agent; any other waits for commands.
3. For ever: console, agent, light.
"""

import gc

from tally import hal, once, sha512, signer
from tally.console import Console
from tally.link import Link  # noqa: F401 - loaded now, while the memory is in one piece
from tally.mqtt import Session  # noqa: F401 - the same


def _forget_the_start(board, agent):
    """What only the start needed leaves the memory: self-tests, the Python that native code stands in for, and how
    the objects were made of which there is one."""
    del signer.answers_right, sha512._known_answer
    if sha512.NATIVE:
        del sha512._compress
    if board is not None:
        chain = board.chain
        ones = (board, board.config, board.clock, board.trust, chain, chain.head, chain.journal)
        for one in ones + (agent, agent.publisher):
            del type(one).__init__


def live():
    board, agent, fault, again = once("start", "bring_up")
    console = Console(board, agent, fault)
    light = once("start", "lamp", board)
    if light is not None:
        from tally.light import state
    if board is not None:
        print("# tallystick %s on %s" % (board.device.hex(), hal.board_name()))
        console.run = board.config.complete() and board.trust.owner is not None
    _forget_the_start(board, agent)
    gc.collect()
    # collected early, what is left behind does not scatter the heap
    gc.threshold(min(16384, gc.mem_free() // 4))
    while True:
        console.poll()
        if console.run and agent.link is None:
            console.run = agent.start()
        if console.run:
            agent.step(console.busy())
        if light is not None:
            light.show("fault" if agent is None else state(agent))
        if again is not None and hal.uptime_ms() > again and not console.busy():
            what = "there is no key now" if fault.startswith("no key") else "the flash failed"
            print("# reset, because %s" % what)
            hal.sleep_ms(50)
            hal.reset()
        hal.sleep_ms(10)
