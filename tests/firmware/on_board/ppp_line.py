"""Prints, as JSON, how a board and a simulated modem get from commands to a link of PPP and back, over a serial line.

micropython ppp_line.py FOLDER-WITH-firmware

`network.PPP` is a double here, which speaks as much of the link control protocol as two ends need to agree.
"""

import json
import sys
import time

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/virtual/modules"]

import network
from modem import cell, ppp, who
from tally import hal

LCP = b"\xff\x03\xc0\x21"
facts = {"frames": [], "bad": 0}
config = {
    "net": "ppp",
    "modem_args": {"model": "SIM7600", "start_ms": 500, "apn": "internet"},
    "sim_pin": None,
}
who.note = lambda config, modem: None


def remainder(data):
    total = 0xFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ (0x8408 if total & 1 else 0)
    return total


class Line:
    """The board's end of the link."""

    def __init__(self, uart):
        self._uart = uart
        self._frame = None
        self._escaped = False
        self._agreed = self._asked = False

    def active(self, on):
        pass

    def connect(self):
        self._send(b"\x01\x07\x00\x04")

    def disconnect(self):
        self._agreed = False

    def isconnected(self):
        for byte in self._uart.read(self._uart.any()) or b"":
            self._take(byte)
        return self._agreed and self._asked

    def _send(self, packet):
        data = LCP + packet
        data += (remainder(data) ^ 0xFFFF).to_bytes(2, "little")
        out = bytearray(b"\x7e")
        for byte in data:
            out.extend(
                bytes((0x7D, byte ^ 0x20)) if byte < 32 or byte in b"\x7d\x7e" else bytes((byte,))
            )
        self._uart.write(out + b"\x7e")

    def _take(self, byte):
        if byte == 0x7E:
            frame, self._frame = self._frame, bytearray()
            if frame:
                self._heard(bytes(frame))
        elif self._frame is None:
            pass  # the rest of a frame whose beginning came with CONNECT: it is sent again
        elif byte == 0x7D:
            self._escaped = True
        else:
            self._frame.append(byte ^ 0x20 if self._escaped else byte)
            self._escaped = False

    def _heard(self, frame):
        if remainder(frame) != 0xF0B8 or not frame.startswith(LCP):
            facts["bad"] += 1
            return
        code = frame[4]
        facts["frames"].append(code)
        if code == 1:
            self._send(b"\x02" + frame[5:-2])
            self._asked = True
        elif code == 2:
            self._agreed = True


network.PPP = Line
way = ppp.Ppp(config)
modem = cell.the(config)


def up(wanted, seconds):
    """What is said until it is `wanted`, each once."""
    said = []
    end = time.ticks_add(time.ticks_ms(), seconds * 1000)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        why = way.up(0)
        if not said or said[-1] != why:
            said.append(why)
        if why == wanted:
            break
        hal.sleep_ms(20)
    return said


facts["first"] = up(None, 20)
facts["doubt"] = modem.at.doubt
# nothing goes through it: taken down, back to commands, dialled anew
facts["dead"] = up("no network: dialling", 20)
facts["again"] = up(None, 20)
print(json.dumps(facts))
