"""Signs with the key in the SIM card of the board's modem.

    micropython sim.py FOLDER-WITH-firmware APPLET MESSAGE...

Prints `key` and the public key, then `signature` and the signature of each message, in hex.
"""

import sys
import time

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/virtual/modules"]

import uart
from modem.apdu import Applet
from modem.at import At

kind = sys.argv[2]


class Wire:
    """What the AT core reads and writes."""

    def __init__(self):
        self._uart = uart.UART(1)

    def read(self, size):
        return self._uart.read(size)

    def write(self, data):
        self._uart.write(data)


at = At(Wire(), time.ticks_ms, time.ticks_diff, lambda: time.sleep_ms(2))
at.begin()
if kind == "signit":
    from modem import signit

    key = signit.Signit(Applet(at, signit.AID))
    key.unlock(b"1234")
else:
    from modem import iot_safe
    from modem.apdu import CardError

    key = iot_safe.IotSafe(Applet(at, iot_safe.AID), b"\x01", b"\x02")
    try:
        key.make()
    except CardError:
        pass  # it has one
    assert len(key.random(16)) == 16
print("key", key.point().hex())
for message in sys.argv[3:]:
    data = b"" if message == "-" else bytes.fromhex(message)
    print("signature", key.sign(data).hex())
