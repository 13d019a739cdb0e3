"""A serial port of the virtual board (`machine.UART` of MicroPython's ESP32 port).

`{"uart": {"1": "/dev/pts/7"}}` in `world.json` says what port 1 is wired to: a pseudo-terminal of a simulator, or a
real modem on the host's USB. Without it, or where that is not there, nothing ever comes, and what is sent is lost.

Rules, as on the chip
* Ports 0 to 2. Nothing waits longer than `timeout` (ms) for what it reads, and not at all without one.
* Bytes come no faster than `baudrate` lets them. What has come waits in `rxbuf` bytes; what does not fit is lost.
* Sending waits for nobody: what the other end does not take is lost.
* Pins, inversion and flow control are taken and do nothing; the host's end has its own. There is no `irq`.
"""

import errno
import io
import time

import ffi
from machine import world
from micropython import const

_PORTS = const(3)
_RAW = const(2 | 0o400 | 0o4000)  # O_RDWR | O_NOCTTY | O_NONBLOCK, on x86 and ARM
_PIECE = const(256)
_FOREVER_US = const(10000000)
_BITS_A_BYTE = const(10)
_POLL = const(3)  # stream.h: MP_STREAM_POLL, and what it asks
_READ, _WRITE = const(1), const(4)


class UART(io.IOBase):
    """Port `id`. It is a stream: `select.poll` takes it."""

    INV_RX, INV_CTS, INV_TX, INV_RTS = 4, 8, 32, 64
    RTS, CTS = 1, 2

    def __init__(self, id, *arguments, **settings):
        if not 0 <= id < _PORTS:
            raise ValueError("UART(%d) does not exist" % id)
        self._settings = {"baudrate": 115200, "bits": 8, "parity": None, "stop": 1, "rxbuf": 256}
        self._came = bytearray()
        library = ffi.open(None)
        self._read = library.func("i", "read", "ipi")
        self._write = library.func("i", "write", "ipi")
        self._close = library.func("i", "close", "i")
        path = world().get("uart", {}).get(str(id))
        self._descriptor = library.func("i", "open", "si")(path, _RAW) if path else -1
        self._piece = bytearray(_PIECE)
        self._open = True
        self._looked = time.ticks_us()
        self.init(*arguments, **settings)

    def init(self, baudrate=None, bits=None, parity=-1, stop=None, **others):
        """Change settings; those that are not named stay. Raises ValueError where the chip cannot do it."""
        if bits is not None and not 5 <= bits <= 8:
            raise ValueError("invalid data bits")
        if stop is not None and stop not in (1, 2):
            raise ValueError("invalid stop bits")
        known = "tx rx rts cts txbuf rxbuf timeout timeout_char invert flow".split()
        for name in others:
            if name not in known:
                raise TypeError("extra keyword arguments given")
        named = {"baudrate": baudrate, "bits": bits, "stop": stop}
        self._settings.update({name: value for name, value in named.items() if value})
        if parity != -1:
            self._settings["parity"] = parity
        self._settings.update(others)

    def _check(self):
        if not self._open:
            raise OSError(-259, "ESP_ERR_INVALID_STATE")

    def _look(self):
        """Take over what has come since the last look."""
        self._check()
        now = time.ticks_us()
        passed = min(time.ticks_diff(now, self._looked), _FOREVER_US)
        may_come = passed * self._settings["baudrate"] // (_BITS_A_BYTE * 1000000)
        if not may_come:
            return
        self._looked = now
        while may_come and self._descriptor >= 0:
            count = self._read(self._descriptor, self._piece, min(may_come, _PIECE))
            if count <= 0:
                break
            may_come -= count
            fits = self._settings["rxbuf"] - len(self._came)
            self._came.extend(memoryview(self._piece)[: min(count, fits)])

    def _wait(self, size):
        """Until so many bytes are there, or the time is over; how many are there."""
        end = time.ticks_add(time.ticks_ms(), self._settings.get("timeout", 0))
        while True:
            self._look()
            if len(self._came) >= size or time.ticks_diff(end, time.ticks_ms()) <= 0:
                return min(size, len(self._came))
            time.sleep_ms(1)

    def _take(self, count):
        taken = bytes(self._came[:count])
        self._came = self._came[count:]
        return taken

    def any(self):
        """Bytes that can be read without waiting."""
        self._look()
        return len(self._came)

    def read(self, size=-1):
        """Up to `size` bytes, or all there are; None if none came in time."""
        count = self._wait(size) if size >= 0 else self._wait(self._settings["rxbuf"])
        return self._take(count) if count or not size else None

    def readinto(self, buffer, size=None):
        """The number of bytes read into `buffer`; None if none came in time."""
        data = self.read(len(buffer) if size is None else min(size, len(buffer)))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def readline(self):
        """Up to the next line feed, with it; what there is if none came in time, None if that is nothing."""
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = self.read(1)
            if piece is None:
                return bytes(line) if line else None
            line.extend(piece)
        return bytes(line)

    def write(self, data):
        """The number of bytes that were sent: all."""
        self._check()
        if self._descriptor >= 0:
            data = bytes(data)
            self._write(self._descriptor, data, len(data))
        return len(data)

    def flush(self):
        self._check()

    def txdone(self):
        self._check()
        return True

    def sendbreak(self):
        """Said to nobody: a pseudo-terminal carries no break."""
        self._check()

    def ioctl(self, request, argument):
        if request != _POLL:
            return -errno.EINVAL
        return (_READ if argument & _READ and self.any() else 0) | argument & _WRITE

    def deinit(self):
        if self._open and self._descriptor >= 0:
            self._close(self._descriptor)
        self._open = False
        self._descriptor = -1
