"""How a board comes up. Loaded for it, and forgotten after it."""

from tally import hal
from tally.agent import Agent
from tally.board import Board
from tally.config import Config, ConfigError
from tally.keys import KeyFault


def bring_up():
    """(board, agent, fault, again): on a fault there is no board, the console says why, and a flash that could not be
    read is tried anew after `again` milliseconds; else that is None."""
    try:
        board = Board()
        if not hal.woken():  # a wake-up signs no `open`
            board.digest()  # now, while there is room for it
            board.config.digest()
    except (KeyFault, ConfigError, OSError) as error:
        print("# fault: %s" % error)
        again = hal.count_fault() if isinstance(error, OSError) else None
        return None, None, str(error), again
    return board, Agent(board), None, None


def lamp(board):
    """The LED, None on a board without one, or whose settings cannot be read."""
    try:
        config = Config() if board is None else board.config
    except (ConfigError, OSError):
        return None
    if config["led_pin"] is None:
        return None
    from tally.led import Led

    return Led(config["led_pin"], config["led_active"])
