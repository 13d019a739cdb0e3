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

from tally import hal
from tally.chain import Halted
from tally.config import ConfigError
from tally.head import HeadError
from tally.keys import KeyFault
from tally.message import MessageError
from tally.trust import TrustError

_MAX_LINE = const(4200)  # a CA certificate in hex
COMMANDS = "info status challenge set unset genesis run config fingerprint rotate lock reset help"
_BUSY_MS = const(30000)


class ConsoleError(Exception):
    """args: code, detail."""


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
                if len(self._line) <= _MAX_LINE:
                    self._line.extend(data)
                continue
            self._typed_ms = hal.ticks_ms()
            line = bytes(self._line)
            self._line = bytearray()
            if line.strip():
                self._answer(line)

    def _answer(self, line):
        try:
            if len(line) > _MAX_LINE:
                raise ConsoleError("line", "longer than %d bytes" % _MAX_LINE)
            try:
                name, _, rest = line.decode().strip().partition(" ")
            except UnicodeError:
                raise ConsoleError("line", "not UTF-8") from None
            if name not in COMMANDS.split():
                raise ConsoleError("command", "there is no such command")
            if self.board is None and name not in ("info", "help", "reset"):
                raise ConsoleError("fault", self.fault)
            answer = self._do(name, rest.strip())
            print("OK " + answer if answer else "OK")
        except ConsoleError as error:
            print("ERROR %s %s" % error.args)
        except (ConfigError, HeadError, Halted, KeyFault, TrustError, MessageError) as error:
            print("ERROR refused %s" % error)
        except OSError as error:
            print("ERROR storage %s" % error.args[0])

    def _do(self, name, rest):
        gc.collect()
        self.free = gc.mem_free()  # without what a command needs
        from tally import commands

        try:
            return commands.do(self, name, rest)
        finally:
            for module in ("commands", "settings", "owner", "lock"):
                hal.unload(module)
