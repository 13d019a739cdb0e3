"""A serial port of the virtual board (`machine.UART` of MicroPython's ESP32 port).

`{"uart": {"1": "/dev/pts/7"}}` in `world.json` says what port 1 is wired to; without it there is
nothing at the other end, and nothing ever comes.
"""

import select

import ffi
from machine import world


class UART:
    """rxbuf, timeout and the pins are taken and do nothing: the host's terminal has its own."""

    def __init__(self, number, baudrate=115200, tx=None, rx=None, rxbuf=256, timeout=0):
        path = world().get("uart", {}).get(str(number))
        self._file = open(path, "r+b", 0) if path else None
        if self._file:
            self._poll = select.poll()
            self._poll.register(self._file, select.POLLIN)
            self._read = ffi.open(None).func("i", "read", "ipi")

    def any(self):
        """Bytes that can be read: at least that many, if not 0."""
        return 256 if self._file and self._poll.poll(0) else 0

    def read(self, size):
        if not self.any():
            return None
        buffer = bytearray(size)
        count = self._read(self._file.fileno(), buffer, size)
        return bytes(buffer[:count]) if count > 0 else None

    def write(self, data):
        return self._file.write(data) if self._file else len(data)

    def deinit(self):
        if self._file:
            self._file.close()
            self._file = None
