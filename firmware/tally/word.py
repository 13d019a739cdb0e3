"""What is still to be said of an update that has ended, until there is a connection. It stands where the next one will
(tally/fetch.py), keeps nothing else in the memory, and is forgotten with its word.
"""

from micropython import const

from tally import hal, unload
from tally.version import VERSION

_PATIENCE_MS = const(60000)  # of a board that could sleep


class Word:
    def __init__(self, agent, number, state):
        self.agent = agent
        self.number = number
        self.state = state
        self.since_ms = hal.ticks_ms()

    def is_fed(self):
        """Whether it is worth staying awake for."""
        return hal.ticks_diff(hal.ticks_ms(), self.since_ms) < _PATIENCE_MS

    def step(self):
        """True when it is said."""
        if not self.agent.link.connected():
            return False
        from tally import update

        update.tell(self.agent, counter=self.number, state=self.state, version=VERSION)
        unload("place", "update", "message", "decode")
        return True
