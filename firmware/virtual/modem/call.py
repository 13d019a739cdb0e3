"""A call: the line carries data, PPP frames (RFC 1662) as far as the link control protocol (RFC 1661, 5).

    7E  FF 03  C0 21  code id length(2) options  FCS(2)  7E      each byte below 20, 7D and 7E as 7D, byte ^ 20

Rules
* The modem asks for its configuration until the other end agrees, and agrees to what it is asked.
* `+++` between two silences of a second ends the data, not the call (V.250, 6.2.9): the next line is a command again.
* Behind the link there is nothing: IPCP and what comes after it would need a network of packets.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FLAG, ESCAPE, FLIP = 0x7E, 0x7D, 0x20
LCP = b"\xff\x03\xc0\x21"
REQUEST, AGREE, END, ENDED, ECHO, ECHOED = 1, 2, 5, 6, 9, 10
GUARD_S = 1.0
AGAIN_S = 0.5
FRAME_BYTES = 1600
GOOD = 0xF0B8  # FCS over a frame with its own FCS


def fcs(data: bytes) -> int:
    """FCS-16 before it is inverted (RFC 1662, C.2): CRC-16 with the polynomial 8408, lowest bit first."""
    total = 0xFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ (0x8408 if total & 1 else 0)
    return total


def framed(body: bytes) -> bytes:
    """A frame on the line."""
    data = body + (fcs(body) ^ 0xFFFF).to_bytes(2, "little")
    out = bytearray([FLAG])
    for byte in data:
        out += (
            bytes([ESCAPE, byte ^ FLIP]) if byte < FLIP or byte in (FLAG, ESCAPE) else bytes([byte])
        )
    return bytes(out + bytes([FLAG]))


class Call:
    """The modem's end. say: bytes to the board. agreed: the other end has taken our configuration."""

    def __init__(
        self, say: Callable[[bytes], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._clock = clock
        self._frame = bytearray()
        self._escaped = False
        self._heard = clock()  # the last byte
        self._pluses: float | None = (
            None  # when three of them were complete, and nothing has come since
        )
        self._pending = b""
        self._asked = 0.0
        self.agreed = False
        self.frames = 0  # good ones that came

    def step(self) -> bool:
        """Ask again if it is time to; whether the call's data are over."""
        now = self._clock()
        if self._pluses is not None and now - self._pluses >= GUARD_S:
            return True
        if not self.agreed and now - self._asked >= AGAIN_S:
            self._asked = now
            self._say(framed(LCP + bytes([REQUEST, 1, 0, 10, 5, 6]) + b"\x7d\x7e\x01\x02"))
        return False

    def take(self, byte: int) -> None:
        """A byte of the board's."""
        now = self._clock()
        quiet = now - self._heard >= GUARD_S
        self._heard = now
        self._pending = self._pending + b"+" if byte == 0x2B and (quiet or self._pending) else b""
        self._pluses = now if self._pending == b"+++" else None
        if byte == FLAG:
            frame, self._frame = bytes(self._frame), bytearray()
            if len(frame) > 8 and fcs(frame) == GOOD:
                self.frames += 1
                self._answer(frame[:-2])
        elif byte == ESCAPE:
            self._escaped = True
        elif len(self._frame) < FRAME_BYTES:
            self._frame.append(byte ^ FLIP if self._escaped else byte)
            self._escaped = False

    def _answer(self, frame: bytes) -> None:
        if not frame.startswith(LCP):
            return
        code, rest = frame[4], frame[5:]
        if code == AGREE:
            self.agreed = True
        elif code in (REQUEST, END, ECHO):
            answer = {REQUEST: AGREE, END: ENDED, ECHO: ECHOED}[code]
            self._say(framed(LCP + bytes([answer]) + rest))
