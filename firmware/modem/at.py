"""Commands to a modem and their answers (3GPP TS 27.007, V.250), over a serial line that lies.

Rules
* One command at a time; what it may answer with is named beforehand: the start of its information lines, and what
  ends it (OK, ERROR, +CME ERROR, +CMS ERROR, or a line of its own). Everything has a deadline, on a line that never
  falls silent, too.
* A line that begins like one of `unsolicited` is handed to its listener whenever it comes, unless the command at
  work has named it. Every other line that nobody asked for is dropped, and counted.
* Never one command's answer for another's: after a time-out the line is in doubt, and nothing is sent until it is in
  step again. To get there the echo is switched on and a word is sent that nobody can guess: what comes before its echo
  is old. Echo is off otherwise, and an echo that comes all the same is passed over.
* Never a stranger's words for the modem's: where a message comes between quotes and without its length, its sender
  could put an answer behind it. What a command was told is not believed if a message came since the line was in step.
* A line has at most _LINE bytes; what is longer is dropped up to its end, so that garbage cannot fill the memory.

    at = At(uart, ticks_ms)
    at.begin()
    quality = at.ask("+CSQ", "+CSQ:")        # ["17,99"]
    at.command('+CGDCONT=1,"IP","internet"')
"""

from binascii import hexlify
from os import urandom

try:
    from micropython import const
except ImportError:  # CPython: the host's tests

    def const(value):
        return value


_LINE = const(1200)  # an APDU of 255 bytes in hex, twice
_RAW = const(1100)
_SHORT_MS = const(3000)
_QUIET_MS = const(300)
_SETTLED_MS = const(5000)  # a modem that talks for longer is not one to talk to
_FLOOD_MS = const(2000)  # what a line may go on to say after a deadline
_REFUSALS = ("NO CARRIER", "NO DIALTONE", "NO ANSWER", "BUSY")  # of a call (V.250)
_TRIES = const(4)
_AGAIN = const(2)  # in the middle of things


class AtError(OSError):
    """The modem said no: args[0] is what it said. An OSError, as what goes wrong with a socket is."""


class PinError(AtError):
    """The card stays closed until somebody sets another PIN."""


class Silent(OSError):
    """The modem did not answer in time, or not in step: args[0] is the command."""


class At:
    """A modem's command line. uart: read(n) -> bytes or None, write(bytes), both at once. ticks_ms, ticks_diff: clock.

    unsolicited: {start of a line: listener(rest of the line)}. A listener that returns (n, receive) gets the n bytes
    that follow the line as they are: receive(bytes), b"" for more than _RAW. quoted: (start, receive) of a line whose
    last value is any bytes between quotes; receive gets all behind the start. dropped: lines that nobody asked for.
    pause(): called while there is nothing to read. doubt: whether the next command has to get in step first. strange:
    whether one of `quoted` came since the line was in step.
    """

    def __init__(self, uart, ticks_ms, ticks_diff, pause):
        self._uart = uart
        self._ticks = ticks_ms
        self._diff = ticks_diff
        self._pause = pause
        self._buffer = b""
        self._over = False  # the line at hand is too long: it goes
        self._newline = False  # a line has ended with CR: a LF right behind it belongs to it
        self._raw = 0  # bytes still to come as they are
        self._kept = None
        self._receive = None
        self.doubt = True  # whatever was said before this object was there
        self._prompt = False  # whether ">" is waited for, which no line end follows
        self._term = None  # (since when, for how long) all that is asked has to be answered
        self.strange = False
        self.unsolicited = {}
        self.quoted = None
        self.dropped = 0

    # -- lines ---------------------------------------------------------------------------------

    def _cut(self):
        """The next complete line, or None."""
        buffer = self._buffer
        if self._newline and buffer:
            self._newline = False
            if buffer[:1] == b"\n":
                buffer = buffer[1:]
        if self.quoted and not self._over and buffer.startswith(self.quoted[0]):
            self.strange = True
            at = buffer.find(b'"\r\n')
            if at >= 0:
                self.quoted[1](buffer[len(self.quoted[0]) : at + 1])
                self._buffer = buffer[at + 3 :]
                return b""
            if len(buffer) <= _LINE:
                self._buffer = buffer
                return None
        at = buffer.find(b"\r")
        lf = buffer.find(b"\n")
        if at < 0 or 0 <= lf < at:
            at = lf
        if at < 0:
            if self._prompt and buffer.strip() == b">":
                self._buffer = b""
                return b">"
            if len(buffer) > _LINE:
                self._over = True
                buffer = b""
            self._buffer = buffer
            return None
        self._newline = buffer[at] == 13
        line = buffer[:at]
        self._buffer = buffer[at + 1 :]
        if self._over:
            self._over = False
            self.dropped += 1
            return b""
        return line

    def _take_raw(self):
        if self._newline and self._buffer:
            self._newline = False
            if self._buffer[:1] == b"\n":
                self._buffer = self._buffer[1:]
        piece = self._buffer[: self._raw]
        self._buffer = self._buffer[self._raw :]
        self._raw -= len(piece)
        if self._kept is not None:
            self._kept += piece
        if not self._raw:
            self._receive(self._kept if self._kept is not None else b"")
            self._receive = self._kept = None

    def _next(self, began, limit_ms):
        """The next line as text; None when the time is over."""
        while True:
            late = self._diff(self._ticks(), began) - limit_ms
            if late > _FLOOD_MS:
                return None
            if self._raw and self._buffer:
                self._take_raw()
            if not self._raw:
                line = self._cut()
                if line:
                    try:
                        text = line.decode().strip()
                    except (UnicodeError, ValueError):
                        self.dropped += 1
                        continue
                    if text:
                        return text
                if line is not None:
                    continue
            data = self._uart.read(256)
            if data:
                self._buffer += data
                continue
            if late >= 0:
                return None
            self._pause()

    def _hear(self, text):
        """Whether a line was an unsolicited one; its listener then has it."""
        for start, listener in self.unsolicited.items():
            if text.startswith(start):
                try:
                    wanted = listener(text[len(start) :].strip())
                except (ValueError, IndexError):
                    self.dropped += 1  # garbled: not what it looks like
                    return True
                if wanted is not None and wanted[0] > 0:
                    self._raw, self._receive = wanted
                    self._kept = b"" if wanted[0] <= _RAW else None
                return True
        return False

    def poll(self):
        """Take what has come without being asked for. Only between commands."""
        self._prompt = False
        began = self._ticks()
        while True:
            text = self._next(began, 0)
            if text is None:
                return
            if not self._hear(text):
                self.dropped += 1

    # -- commands ------------------------------------------------------------------------------

    def command(self, text, limit_ms=_SHORT_MS, info=None, ends=None, data=None):
        """Send AT + text and return the information lines: those that begin with `info`, without it.

        info: "" takes every line that is not unsolicited. ends: start of a line that ends the command after its OK, and
        is returned as the last one; some commands answer OK at once and tell the outcome later. One without a plus sign
        is a result code like OK: CONNECT, of a call. data: bytes to send after the modem's ">". Raises AtError and
        Silent.
        """
        for _ in range(_AGAIN):
            if self.doubt or (self.strange and info is not None):
                self.begin(_AGAIN)
            self.poll()
            if not self.strange or info is None:
                break
        return self._run(text, self._left(limit_ms), info, ends, data)

    def within(self, limit_ms):
        """All that is asked from now on is answered in this time, or Silent. None: each in its own time again."""
        self._term = None if limit_ms is None else (self._ticks(), limit_ms)

    def _left(self, limit_ms):
        if self._term is None:
            return limit_ms
        began, whole_ms = self._term
        return min(limit_ms, whole_ms - self._diff(self._ticks(), began))

    def ask(self, text, info, limit_ms=_SHORT_MS):
        """The information lines of a command that must have some; AtError where there is none."""
        lines = self.command(text, limit_ms, info)
        if not lines:
            raise AtError("nothing")
        return lines

    def _run(self, text, limit_ms, info, ends, data):
        if limit_ms <= 0:
            raise Silent(text)
        began = self._ticks()
        found = []
        accepted = False
        told = None  # the line of `ends`, which some modems send before OK
        self._prompt = data is not None
        self.doubt = True  # until the answer is complete
        self._uart.write(b"AT" + text.encode() + b"\r")
        while True:
            line = self._next(began, limit_ms)
            if line is None:
                self._prompt = False
                raise Silent(text)
            if line == "AT" + text:
                continue  # an echo
            if line == ">" and self._prompt:
                self._prompt = False
                self._uart.write(data)
            elif ends is not None and line.startswith(ends):
                told = line[len(ends) :].strip()
                if accepted or ends[0] != "+":
                    break
            elif line == "OK" and not accepted and not self._prompt:
                accepted = True
                if ends is None or told is not None:
                    break
            elif (
                line == "ERROR"
                or line.startswith(("+CME ERROR", "+CMS ERROR"))
                or (ends is not None and ends[0] != "+" and line in _REFUSALS)
            ):
                self.doubt = False
                self._prompt = False
                raise AtError(line)
            elif info and line.startswith(info):
                found.append(line[len(info) :].strip())
            elif self._hear(line):
                pass
            elif info == "" and not accepted:
                found.append(line)
            else:
                self.dropped += 1
        if self.strange and info is not None:
            raise Silent(text)  # and the line stays in doubt
        self.doubt = False
        if told is not None:
            found.append(told)
        return found

    def begin(self, tries=_TRIES):
        """Get in step with a modem in any state. Raises Silent if it does not answer."""
        self.doubt = True
        self._prompt = False
        for _ in range(tries):
            if self._left(_SHORT_MS) <= 0:
                break
            self._raw = 0
            self._receive = self._kept = None
            word = "AT#" + hexlify(urandom(4)).decode()
            # the first line ends whatever was begun: half a command, or data that a prompt waits for
            self._uart.write(b"\x1b\rATE1\r")
            self._quiet()
            self._uart.write(word.encode() + b"\r")
            if not self._until(word):
                continue
            self.strange = False
            if not self._until("OK", "ERROR", "+CME ERROR"):
                continue
            self._uart.write(b"ATE0\r")
            if self._until("ATE0") and self._until("OK") and self._quiet():
                self.doubt = False
                return
        raise Silent("AT")

    def _quiet(self):
        """Wait until nothing has come for _QUIET_MS; whether no answer to a command was among what came."""
        answers = 0
        began = self._ticks()
        while self._diff(self._ticks(), began) < _SETTLED_MS:
            line = self._next(self._ticks(), _QUIET_MS)
            if line is None:
                return not answers
            answers += line == "OK" or "ERROR" in line
            if not self._hear(line):
                self.dropped += 1
        return False

    def _until(self, *wanted):
        """Whether a line that begins like one of these comes in time."""
        began = self._ticks()
        while True:
            line = self._next(began, _SHORT_MS)
            if line is None:
                return False
            if line.startswith(wanted):
                return True
            if not self._hear(line):
                self.dropped += 1
