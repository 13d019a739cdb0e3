"""One question to a time server (SNTP, RFC 4330), without waiting for the answer.

Rules
* An answer counts only if it repeats the random number of the question: whoever cannot read the question cannot
  set the clock. NTP is not signed all the same: whoever stands on the way can, within the window of `hal`.
* What is no answer to the question is thrown away; what is one and cannot be believed is an NtpError.
* TIMEOUT_MS after the question nothing counts any more.
"""

import errno
import socket

from micropython import const

from tally import hal
from tally.record import CLOCK_NTP

TIMEOUT_MS = const(3000)
PACKET_BYTES = const(48)
MAX_PACKETS = const(8)  # looked at in one poll
_AGAIN_MS = const(6 * 3600 * 1000)
_FIRST_PAUSE_MS = const(5000)
_LAST_PAUSE_MS = const(3600 * 1000)
_TO_1970 = 2208988800
_ERA = 1 << 32  # seconds: 1900 to 2036, then from 2036 on
_QUESTION = const(0x23)  # version 4, client


class NtpError(Exception):
    """There is no time from this server now."""


def parse(packet, cookie):
    """Unix seconds of an answer, None if it is none to this question. Raises NtpError."""
    if len(packet) < PACKET_BYTES or packet[24:32] != cookie:
        return None
    if packet[0] & 7 != 4:
        return None  # not a server
    if packet[1] == 0:
        raise NtpError("the server says %r" % bytes(packet[12:16]))  # kiss-o'-death
    if packet[1] > 15 or packet[0] >> 6 == 3:
        raise NtpError("the server has no time itself")
    seconds = int.from_bytes(packet[40:44], "big") + (packet[44] >> 7) - _TO_1970
    while seconds < hal.CLOCK_SET_FROM:
        seconds += _ERA
    if seconds >= hal.CLOCK_SET_UNTIL:
        raise NtpError("a time that cannot be")
    return seconds


class Query:
    """A question that was sent. Raises NtpError where that is not possible."""

    def __init__(self, host, port):
        self._cookie = hal.urandom(8)
        self._end = hal.ticks_add(hal.ticks_ms(), TIMEOUT_MS)
        question = bytearray(PACKET_BYTES)
        question[0] = _QUESTION
        question[40:] = self._cookie
        self._socket = None
        try:
            address = socket.getaddrinfo(host, port)[0][-1]
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._socket.connect(address)  # so that only this server is heard
            self._socket.send(question)
        except OSError as error:
            self.close()
            raise NtpError("%s cannot be asked, error %s" % (host, error.args[0])) from None

    def poll(self):
        """Unix seconds, or None while there is no answer yet. Raises NtpError."""
        for _ in range(MAX_PACKETS):
            try:
                packet = self._socket.recv(PACKET_BYTES)
            except OSError as error:
                if error.args[0] in (errno.EAGAIN, errno.ETIMEDOUT):
                    break
                raise NtpError("no answer, error %s" % error.args[0]) from None
            answer = parse(packet, self._cookie)
            if answer is not None:
                return answer
        if hal.ticks_diff(self._end, hal.ticks_ms()) < 0:
            raise NtpError("no answer")
        return None

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def ask(clock, host, port):
    """Clock.ask: a question, or a look whether there is an answer."""
    try:
        if clock.query is None:
            clock.query = Query(host, port)
        answer = clock.query.poll()
    except NtpError as error:
        clock.log("no time: %s" % error)
        pause = clock.pause or _FIRST_PAUSE_MS
        _ask_later(clock, pause)
        clock.pause = min(2 * pause, _LAST_PAUSE_MS)
        return None
    if answer is None:
        return None
    _ask_later(clock, _AGAIN_MS)
    clock.pause = None
    clock.served_ms = hal.uptime_ms()
    return clock.set(answer, CLOCK_NTP)


def _ask_later(clock, pause):
    if clock.query is not None:
        clock.query.close()
        clock.query = None
    clock.next_ms = hal.ticks_add(hal.ticks_ms(), pause)
