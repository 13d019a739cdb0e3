"""The line protocol on the serial port: provisioning and status, like a production test.

    command [arguments]   ->   OK [answer]   or   ERROR code detail

Rules
* One answer line for each command line. Lines that start with `# ` are talk.
* Nothing prints a secret: there is no command for the seed, and passwords go in only.
* A challenge is a typed object that the board builds around the host's 16 bytes; other bytes are not signed.
* Polled, never waited for: the agent runs on while somebody types. The end of input ends nothing.
"""

import gc
import select
import sys

from micropython import const

from tally import hal, once, unload

MAX_LINE = const(4200)  # a CA certificate in hex
_BUSY_MS = const(30000)


class Console:
    """board and agent may be None, on a board that did not come up: `fault` says why."""

    def __init__(self, board, agent, fault=None):
        self.board = board
        self.agent = agent
        self.fault = fault
        self._line = bytearray()
        self._input = sys.stdin.buffer
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._open = True
        self._typed_ms = None
        self.run = False  # set by the command `run`

    def busy(self):
        """Whether somebody typed a moment ago: a board that sleeps stays awake for them."""
        if self._typed_ms is None:
            return False
        if hal.ticks_diff(hal.ticks_ms(), self._typed_ms) > _BUSY_MS:
            self._typed_ms = None
            return False
        return True

    def poll(self):
        """Take what was typed and answer complete lines."""
        while self._open and self._poll.poll(0):
            data = self._input.read(1)
            if data is None:
                return
            if not data:
                self._poll.unregister(sys.stdin)
                self._open = False
                return
            if data not in b"\r\n":
                # what is too long is kept as too long, and refused with its line end
                if len(self._line) <= MAX_LINE:
                    self._line.extend(data)
                continue
            self._typed_ms = hal.ticks_ms()
            line = bytes(self._line)
            self._line = bytearray()
            if line.strip():
                self._answer(line)

    def _answer(self, line):
        gc.collect()
        self.free = gc.mem_free()  # without what a command needs
        try:
            once("commands", "answer", self, line)
        except MemoryError:
            print("ERROR memory there is too little for this command")
        finally:
            unload("settings", "owner", "light", "lock")
