"""Start-up of a Tallystick board.

1. Bring the board up: key (made at the first start), settings, journal, head.
2. A provisioned board starts its agent; any other waits for commands.
3. For ever: console, agent. Ctrl-C on the serial port ends the agent and gives the ordinary REPL.
"""

import gc
import sys

from tally import hal
from tally.console import Console


def bring_up():
    """(board, agent, fault): on a fault there is no board, and the console says why."""
    from tally.agent import Agent
    from tally.board import Board
    from tally.config import ConfigError
    from tally.keys import KeyFault

    try:
        board = Board()
    except (KeyFault, ConfigError, OSError) as error:
        print("# fault: %s" % error)
        return None, None, str(error)
    return board, Agent(board), None


def main():
    board, agent, fault = bring_up()
    console = Console(board, agent, fault)
    if board is not None:
        print("# tallystick %s on %s" % (board.key.kid.hex(), hal.board_name()))
        console.run = board.config.complete() and board.trust.owner is not None
    gc.collect()
    gc.threshold(16384)  # signing leaves much behind; collected early, it does not scatter the heap
    while True:
        console.poll()
        if console.run and agent.link is None:
            console.run = agent.start()
        if console.run:
            agent.step()
        hal.sleep_ms(10)


try:
    main()
except KeyboardInterrupt:
    print("# stopped: this is the REPL")
except Exception as error:
    # A board in the field has nobody to restart it: what is signed is kept, the rest begins anew.
    sys.print_exception(error)
    hal.sleep_ms(5000)
    hal.reset()
