"""Reads field sensors off simulated chips; prints one JSON value a line. Arguments: the case, then its own.

The clock is the test's: `hal.sleep_ms` moves it and takes no time.
"""

import json
import sys

import bus
import devices
import machine
from tally import hal

for name in ("ADC", "Counter", "Pin", "SoftI2C"):
    setattr(machine, name, getattr(bus, name))


class Clock:
    """Milliseconds that only sleeping moves."""

    def __init__(self):
        self.now = 1000

    def ticks_ms(self):
        return self.now

    def sleep_ms(self, milliseconds):
        self.now += milliseconds

    ticks_add = staticmethod(hal.ticks_add)
    ticks_diff = staticmethod(hal.ticks_diff)


clock = Clock()
devices.time = clock
hal.ticks_ms = clock.ticks_ms
hal.sleep_ms = clock.sleep_ms

SDA, SCL = 21, 22


def make(sensor, **arguments):
    return __import__("sensors." + sensor, None, None, ("Sensor",)).Sensor(**arguments)


def say(value):
    print(json.dumps(value))


def read(sensor):
    """What a reading gives; a float, or a tuple of another length, ends the script."""
    before = clock.now
    values = sensor.read()
    if len(values) != len(sensor.channels) or clock.now - before > 1000:
        raise SystemExit("a reading of %d values in %d ms" % (len(values), clock.now - before))
    for value in values:
        if not (value is None or type(value) is int):
            raise SystemExit("%r is no reading" % value)
    return list(values)


def sht3x(*raws):
    """Temperature and humidity of raw words, two arguments each."""
    from sensors.sht3x import crc8

    say(crc8(b"\xbe\xef"))
    chip = bus.i2c[(SDA, 0x44)] = devices.SHT3x()
    sensor = make("sht3x")
    for i in range(0, len(raws), 2):
        chip.raw = int(raws[i]), int(raws[i + 1])
        say(read(sensor))


def sht3x_faults():
    chip = bus.i2c[(SDA, 0x45)] = devices.SHT3x(-1234, 9876)
    sensor = make("sht3x", address=0x45)
    say(read(sensor))
    chip.fault = "crc-one"
    chip.broken = 1
    say(read(sensor))
    chip.broken = 5
    say(read(sensor))
    for fault in ("crc", "absent", "busy", None):
        chip.fault = fault
        say(read(sensor))
    i2c_faults(sensor)
    say(read(make("sht3x", address=0x44)))
    say(read(make("sht3x", sda=99)))


def i2c_faults(sensor):
    """A device that holds the bus for 9 clocks, for 10, for ever, and not any more."""
    for clocks in (9, 10, None, 1000, 1):
        if clocks is not None:
            bus.hang(SDA, SCL, clocks)
        say(read(sensor))


def bme280():
    """Readings of the raw values on standard input: pressure, temperature, humidity."""
    chip = bus.i2c[(SDA, 0x76)] = devices.BME280()
    sensor = make("bme280")
    for line in sys.stdin:
        chip.raw = tuple([int(word) for word in line.split()])
        say(read(sensor))


def bme280_example():
    from sensors.bme280 import Calibration

    chip = devices.BME280()
    chip.write(b"\x88")
    first = chip.read(26)
    chip.write(b"\xe1")
    calibration = Calibration(first, chip.read(7))
    fine = calibration.fine(519888)
    say([fine, calibration.temperature(fine), calibration.pressure(415148, fine)])


def bme280_faults():
    chip = bus.i2c[(SDA, 0x76)] = devices.BME280()
    sensor = make("bme280")
    for fault in (None, "absent", "busy", None):
        chip.fault = fault
        say(read(sensor))
    i2c_faults(sensor)
    good = chip.raw
    for raw in ((415148, 0x80000, 30000), (0, 519888, 30000), (415148, 0xFFFFF, 30000), good):
        chip.raw = raw
        say(read(sensor))
    chip.number = 0x58
    say(read(sensor))
    say(read(sensor))
    chip.number = 0x61
    say(read(sensor))


ROM = b"\x28\xff\x64\x1e\x0f\x16\x03"


def ds18b20(*raws):
    bus.onewire[4] = [devices.DS18B20(ROM)]
    sensor = make("ds18b20")
    for raw in raws:
        bus.onewire[4][0].raw = int(raw, 16)
        say(read(sensor))


def ds18b20_bits():
    """The undefined bits of a coarser reading are not reported."""
    bus.onewire[4] = [devices.DS18B20(ROM, 0x019F)]
    sensor = make("ds18b20")
    for bits in (12, 11, 10, 9):
        bus.onewire[4][0].bits = bits
        before = clock.now
        say(read(sensor) + [clock.now - before])


def ds18b20_faults():
    probe = devices.DS18B20(ROM)
    bus.onewire[4] = [probe]
    sensor = make("ds18b20")
    for fault in (None, "crc", "absent", "power", "busy", None):
        probe.fault = fault
        say(read(sensor))
    bus.onewire[4] = "short"
    say(read(sensor))
    bus.onewire[4] = []
    say(read(sensor))
    bus.onewire[4] = [probe, devices.DS18B20(b"\x28\x01\x01\x01\x01\x01\x01")]
    say(read(sensor))
    bus.onewire[4] = [devices.DS18B20(b"\x28\x02\x02\x02\x02\x02\x02", 0xFF5E)]
    say(read(sensor))


def ds18b20_named():
    inlet, outlet = devices.DS18B20(ROM, 0x0550), devices.DS18B20(b"\x28" + bytes(6), 0xFC90)
    bus.onewire[4] = [outlet, inlet]
    sensor = make("ds18b20", probes=[["inlet", inlet.rom.hex()], ["outlet", outlet.rom.hex()]])
    say(sensor.channels)
    inlet.raw = 0x0191
    say(read(sensor))
    for fault in ("crc", "absent", None):
        inlet.fault = fault
        say(read(sensor))
    outlet.fault = "power"
    say(read(sensor))


def adc(arguments, *microvolts):
    sensor = make("adc", **json.loads(arguments))
    say(sensor.channels)
    for microvolt in microvolts:
        bus.analog[34] = OSError(116) if microvolt == "error" else int(microvolt)
        say(read(sensor))


def pulse_signing(source):
    """Pulses that come while the interpreter is in native code; `source` is counter or interrupt."""
    if source == "interrupt":
        machine.Counter = None
    sensor = make("pulse")
    read(sensor)
    for count in (1, 8, 20):
        bus.busy(True)
        bus.pulse(27, count)
        bus.busy(False)
        say(read(sensor)[0])


def pulse_bounces():
    sensor = make("pulse", debounce_ms=50)
    read(sensor)
    for _ in range(4):
        for pause in (1, 3, 2, 900):
            bus.pulse(27)
            clock.sleep_ms(pause)
    say(read(sensor)[0])


def pulse_wraps(*values):
    """The hardware's count as it is read each time; the joules since."""

    class Wrapping:
        FALLING = 2

        def __init__(self, *_, **__):
            self.left = [int(value) for value in values]

        def value(self):
            return self.left.pop(0)

    machine.Counter = Wrapping
    sensor = make("pulse", per_kwh=3600000)
    for _ in values[1:]:
        say(read(sensor)[0])


def pulse_power(per_kwh, *steps):
    """`pulses seconds` for each reading."""
    sensor = make("pulse", per_kwh=int(per_kwh))
    say(read(sensor))
    for i in range(0, len(steps), 2):
        clock.sleep_ms(int(float(steps[i + 1]) * 1000))
        bus.pulse(27, int(steps[i]))
        say(read(sensor))


def pulse_kept(first, seconds, end):
    """Count `first` pulses and, `seconds` later, one more; then deepsleep, reset, or (the power is cut) neither."""
    machine.RTC().memory(machine.RTC().memory() or b"somebody else's")
    sensor = make("pulse")
    say(read(sensor)[0])
    bus.pulse(27, int(first))
    read(sensor)
    clock.sleep_ms(int(seconds) * 1000)
    bus.pulse(27)
    say(read(sensor)[0])
    say(machine.RTC().memory()[:15].decode())
    if end != "cut":
        getattr(machine, end)()


def pulse_wear(hours):
    """How often a busy meter makes the board write to flash."""
    import esp32

    commits = [0]
    commit = esp32.NVS.commit

    def counted(store):
        commits[0] += 1
        commit(store)

    esp32.NVS.commit = counted
    sensor = make("pulse")
    for _ in range(int(hours) * 360):
        bus.pulse(27, 5)
        clock.sleep_ms(10000)
        read(sensor)
    say(commits[0])


def pulse_storage(what):
    """Storage that takes nothing: the count goes on."""
    import esp32

    def refuse(*_):
        raise OSError(-4357, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")

    if what == "flash":
        esp32.NVS.set_blob = refuse
    else:
        machine.RTC().memory(bytes(2048))
    sensor = make("pulse", save_s=60)
    for _ in range(3):
        bus.pulse(27)
        say(read(sensor)[0])
        bus.pulse(27)
        clock.sleep_ms(60000)


def events(name):
    """A sensor that fails and comes back, through the agent's own parts: columns, and events of code 5."""
    from tally import cbor, decode, record
    from tally.sensor import Batch, Watch, measure

    chip = bus.i2c[(SDA, 0x44)] = devices.SHT3x(2150, 4870)
    sensor = make(name)
    count = len(sensor.channels)
    watch, batch = Watch(count), Batch(count, 1000)
    for fault in (None, "crc-one", "absent", "absent", None):
        chip.fault = fault
        chip.broken = 4
        values, statuses = measure(sensor)
        batch.add(values, 0)
        say(watch.changes(statuses))
        clock.sleep_ms(10000)
    columns = []
    for column in batch.columns:
        draft = cbor.Writer(64, 0)
        record.column(draft, column)
        columns.append(decode.decode(bytes(draft.data[: draft.at])))
    say(columns)


def chance(seed):
    """Every sensor, with whatever goes wrong at a time: `read` checks each answer."""
    import random

    random.seed(int(seed))
    chips = [devices.SHT3x(), devices.BME280(), devices.DS18B20(ROM)]
    bus.i2c[(SDA, 0x44)], bus.i2c[(SDA, 0x76)] = chips[:2]
    bus.onewire[4] = [chips[2]]
    sensors = [make(name) for name in ("sht3x", "bme280", "ds18b20", "adc", "pulse")]
    good = 0
    for _ in range(300):
        for chip in chips:
            chip.fault = random.choice((None, None, "crc", "absent", "busy", "power"))
        bus.analog[34] = random.choice((5, 3000000, OSError(116)))
        bus.pulse(27, random.randint(0, 9))
        chips[1].raw = random.getrandbits(20), random.getrandbits(20), random.getrandbits(16)
        if random.random() < 0.1:
            bus.hang(SDA, SCL, random.choice((3, 40)))
        for sensor in sensors:
            good += sum([value is not None for value in read(sensor)])
        clock.sleep_ms(10000)
    say(good)


def lm75(*half_degrees):
    """The example of docs/sensors.md; in the end the chip is pulled out."""

    class Thermometer:
        def write(self, data):
            self.register = data[0]

        def read(self, length):
            word = (self.half_degrees & 0x1FF) << 7
            return word.to_bytes(2, "big") if self.register == 0 and length == 2 else b""

    chip = bus.i2c[(SDA, 0x48)] = Thermometer()
    sensor = make("lm75")
    for value in half_degrees:
        chip.half_degrees = int(value)
        say(read(sensor))
    del bus.i2c[(SDA, 0x48)]
    say(read(sensor))


def listed(name):
    """The channels of a sensor with the settings that nobody changed."""
    say(make(name).channels)


def world(name):
    """A reading off what `world.json` plugs in."""
    say(read(make(name)))


def refused(name, arguments):
    """Settings that make no sense are an error of the settings, said at the start."""
    try:
        make(name, **json.loads(arguments))
    except (TypeError, ValueError) as error:
        say(type(error).__name__)


globals()[sys.argv[1]](*sys.argv[2:])
