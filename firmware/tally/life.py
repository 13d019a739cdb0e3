"""The life of a board from power-on: bring it up, then console and agent for ever.

1. Bring the board up: key (made at the first start), settings, journal, head.
2. A provisioned board starts its agent; any other waits for commands.
3. For ever: console, agent, light.
"""

import gc

from tally import ed25519, hal, sha512
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


def lamp(board):
    """The LED, None on a board without one, or whose settings cannot be read."""
    from tally.config import Config, ConfigError

    try:
        config = Config() if board is None else board.config
    except (ConfigError, OSError):
        return None
    if config["led_pin"] is None:
        return None
    from tally.led import Led

    return Led(config["led_pin"], config["led_active"])


def live():
    board, agent, fault = bring_up()
    console = Console(board, agent, fault)
    light = lamp(board)
    if board is not None:
        print("# tallystick %s on %s" % (board.device.hex(), hal.board_name()))
        console.run = board.config.complete() and board.trust.owner is not None
    # what only the start needed: the self-tests, and the Python that native code stands in for
    del ed25519.self_test, sha512._known_answer
    if sha512.NATIVE:
        del sha512._compress
    gc.collect()
    gc.threshold(16384)  # signing leaves much behind; collected early, it does not scatter the heap
    while True:
        console.poll()
        if console.run and agent.link is None:
            console.run = agent.start()
        if console.run:
            agent.step(console.busy())
        if light is not None:
            light.show("fault" if agent is None else agent.light())
        hal.sleep_ms(10)
