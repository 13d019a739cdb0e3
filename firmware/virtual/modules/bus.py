"""The pins of the virtual board, and what hangs on them. A simulator: no voltage was ever measured here.

`Pin`, `ADC`, `Counter` and `SoftI2C` take the place of `machine`'s. On the other side of the pins, a test or
`world.json` plugs things in:

    bus.i2c[(21, 0x44)] = devices.SHT3x()           on SDA 21
    bus.onewire[4] = [devices.DS18B20(rom)]         on pin 4
    bus.analog[34] = 1250000                        microvolt, or an OSError to raise
    bus.pulse(27, 3)                                three times to ground and back
    bus.hang(21, 22, 7)                             SDA 21 stays low until SCL 22 has given 7 clocks

    world.json: {"devices": [{"kind": "sht3x", "sda": 21, "address": 68, "temperature": 2150, "fault": "crc"}]}

Rules, as on an ESP32
* A line that nobody pulls low is high. SDA held low reads as 0, so a write is "acknowledged" and what is read is 0.
* Nobody at an address: OSError ENODEV. A pin without converter, an unknown pin: ValueError.
* Interrupts of a pin are callbacks that wait while the interpreter is busy, `busy(True)`: 8 at most, the rest is
  lost. The pulse counter counts meanwhile.
"""

import errno

QUEUE = 8
PINS = 40
_FULL_SCALE_UV = (950000, 1250000, 1750000, 3100000)

i2c = {}  # (SDA, address) -> device with write(bytes) and read(length)
onewire = {}  # pin -> list of probes, or "short" for a line that lies on ground
analog = {}  # pin -> microvolt
_held = {}  # SDA -> [SCL, clocks left]
_listeners = {}  # pin -> callbacks, counters
_waiting = []
_busy = [False]


def hang(sda, scl, clocks):
    """A device on SDA waits for this many clocks before it lets go."""
    _held[sda] = [scl, clocks]


def busy(on):
    """Whether the interpreter is in native code: callbacks wait."""
    _busy[0] = on
    while _waiting and not on:
        handler, pin = _waiting.pop(0)
        handler(pin)


def pulse(number, count=1):
    """Falling edges at a pin."""
    for _ in range(count):
        for listener in _listeners.get(number, ()):
            listener()


def world():
    """Plug in and set what `world.json` says now; a device that is no longer there is unplugged."""
    import devices
    import machine

    devices.from_world(machine.world().get("devices"))


class Pin:
    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, number, mode=-1, pull=-1, value=None):
        if not 0 <= number < PINS:
            raise ValueError("invalid pin")
        self.number = number
        self._value = 1 if value is None and pull == self.PULL_UP else value or 0

    def init(self, mode=-1, pull=-1, value=None):
        if value is not None:
            self._value = value

    def value(self, new=None):
        if new is None:
            return 0 if self.number in _held else self._value
        if new and not self._value:
            self._clock()
        self._value = 1 if new else 0
        return None

    def _clock(self):
        for sda, held in list(_held.items()):
            if held[0] == self.number:
                held[1] -= 1
                if held[1] <= 0:
                    del _held[sda]

    def irq(self, handler=None, trigger=3):
        def edge():
            if not _busy[0]:
                handler(self)
            elif len(_waiting) < QUEUE:
                _waiting.append((handler, self))

        # one handler a pin: a new one replaces the old
        others = [one for one in _listeners.get(self.number, ()) if isinstance(one, Counter)]
        _listeners[self.number] = others + ([edge] if handler and trigger & Pin.IRQ_FALLING else [])


class Counter:
    """Counts falling or rising edges, whatever the processor does; of every pulse there is one of each."""

    RISING = 1
    FALLING = 2

    def __init__(self, unit, pin, edge=1, filter_ns=0):
        if not 0 <= unit < 8:
            raise ValueError("no such unit")
        self._count = 0
        _listeners.setdefault(pin.number, []).append(self)

    def __call__(self):
        self._count += 1

    def value(self, new=None):
        count = self._count
        if new is not None:
            self._count = new
        return count


class ADC:
    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3

    def __init__(self, pin, atten=0):
        if not 32 <= pin.number <= 39:
            raise ValueError("invalid pin")  # the other converter belongs to the radio
        self._number = pin.number
        self._limit = _FULL_SCALE_UV[atten]

    def read_uv(self):
        value = analog.get(self._number, 0)
        if isinstance(value, OSError):
            raise value
        return min(max(value, 0), self._limit)


class SoftI2C:
    def __init__(self, scl, sda, freq=400000, timeout=50000):
        self._sda = sda

    def _device(self, address):
        """Who answers: None where SDA is held low, and everything seems to be acknowledged."""
        world()
        if not self._sda.value():
            return None
        device = i2c.get((self._sda.number, address))
        if device is None:
            raise OSError(errno.ENODEV)
        return device

    def writeto(self, address, data):
        device = self._device(address)
        if device is not None:
            device.write(bytes(data))
        return len(data)

    def readfrom(self, address, length):
        device = self._device(address)
        return bytes(length) if device is None else device.read(length)

    def readfrom_into(self, address, buffer):
        buffer[:] = self.readfrom(address, len(buffer))

    def writeto_mem(self, address, register, data):
        self.writeto(address, bytes((register,)) + bytes(data))

    def readfrom_mem(self, address, register, length):
        self.writeto(address, bytes((register,)))
        return self.readfrom(address, length)

    def scan(self):
        return sorted(address for sda, address in i2c if sda == self._sda.number)
