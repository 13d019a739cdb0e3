"""The field sensors of the board, on MicroPython of both word widths, against simulated chips."""

from __future__ import annotations

import json
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firmware import build
from firmware.virtual import board as virtual_board
from tests import parts

FIRMWARE = parts.ROOT / "firmware"
DOCS = parts.ROOT / "docs" / "sensors.md"
SCRIPT = parts.ROOT / "tests" / "firmware" / "on_board" / "sensors.py"
SENSORS = sorted(path.stem for path in (FIRMWARE / "sensors").glob("*.py"))
HEAP = "111k"
WAIT_S = 60.0
START = "import sys;sys.path[:]=['',%r,'.frozen'];sys.argv[:]=%r;exec(open(%r).read())"
POWER_CUT, RESET, DEEPSLEEP = 0, 64, 65


class Bench:
    """Compiled sensors, agent and simulators for one word width, and a folder that is the board."""

    def __init__(self, bits: int, folder: Path) -> None:
        self.bits = bits
        self.board = folder
        self.rom = build.OUTPUT / f"sensors-{bits}"
        self.status = 0
        (folder / "flash").mkdir()
        sources = {
            f"{package}/{path.stem}": path.read_text()
            for package in ("tally", "sensors", "modem")
            for path in (FIRMWARE / package).glob("*.py")
        }
        for path in (FIRMWARE / "virtual" / "modules").glob("*.py"):
            if path.stem != "start":
                sources[path.stem] = path.read_text()
        build.compile_into(self.rom, virtual_board.architecture(bits), sources, {})

    def run(self, *arguments: object, typed: str = "", script: Path = SCRIPT) -> list[Any]:
        """The JSON values that a case printed; `status` is how it ended."""
        words = [script.name, *(str(argument) for argument in arguments)]
        start = START % (str(self.rom), words, str(script))
        argv = [*virtual_board.micropython(self.bits), "-X", f"heapsize={HEAP}", "-c", start]
        done = subprocess.run(
            argv,
            cwd=self.board / "flash",
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )
        self.status = done.returncode
        assert done.returncode in (POWER_CUT, RESET, DEEPSLEEP), done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(params=[64, 32])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench(request.param, tmp_path)


# --- SHT3x


def test_sht3x_values(bench: Bench) -> None:
    """A temperature that is off in the last digit is a measurement that nobody made."""
    raws = [0, 65535, 1, 65534, 26214, 32768, 40000, 12345]
    crc, *readings = bench.run("sht3x", *raws)
    assert 0x92 == crc  # the data sheet's example: CRC (0xBEEF)
    for (temperature, humidity), first, second in zip(readings, raws[::2], raws[1::2], strict=True):
        assert round((-45 + 175 * first / 65535) * 100) == temperature
        assert round(100 * second / 65535 * 100) == humidity
    assert [-4500, 10000] == readings[0]


def test_sht3x_faults(bench: Bench) -> None:
    """A wrong checksum must cost the value that it stands behind; any other failure both, and no reboot."""
    good, none = [-1234, 9876], [None, None]
    readings = bench.run("sht3x_faults")
    assert good == pytest.approx(readings[0], abs=1)
    good = readings[0]
    assert [None, good[1]] == readings[1]
    assert [good[0], None] == readings[2]
    assert [none, none, none, good] == readings[3:7]
    # a hung bus: 9 clocks free it at once, 10 at the second reading, 1000 not at all
    assert [good, none, good, none, good] == readings[7:12]
    assert [none, none] == readings[12:]  # nobody at the address, no such pin


# --- BME280

T = (27504, 26435, -1000)
P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
H = (75, 362, 0, 313, 50, 30)


def bosch(pressure: int, temperature: int, humidity: int) -> tuple[float, float, float]:
    """Degree, Pa and %RH by the formulas in floating point (data sheet of the BME280, 8.1)."""
    a = (temperature / 16384 - T[0] / 1024) * T[1]
    fine = a + (temperature / 131072 - T[0] / 8192) ** 2 * T[2]
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = P
    a = fine / 2 - 64000
    b = a * a * p6 / 32768 + a * p5 * 2
    b = b / 4 + p4 * 65536
    a = (1 + (p3 * a * a / 524288 + p2 * a) / 524288 / 32768) * p1
    p = (1048576 - pressure - b / 4096) * 6250 / a
    p += (p9 * p * p / 2147483648 + p * p8 / 32768 + p7) / 16
    h1, h2, h3, h4, h5, h6 = H
    h = fine - 76800
    h = (humidity - (h4 * 64 + h5 / 16384 * h)) * (
        h2 / 65536 * (1 + h6 / 67108864 * h * (1 + h3 / 67108864 * h))
    )
    return fine / 5120, p, min(max(h * (1 - h1 * h / 524288), 0), 100)


def test_bme280_example(bench: Bench) -> None:
    """The numbers of the BMP280's data sheet (3.12), which the BME280 shares for temperature and pressure."""
    # the data sheet prints 25767236, the floating-point value x 256; its own 64-bit formula, in C, gives this
    assert [[128422, 2508, 25767233]] == bench.run("bme280_example")
    assert (25.08, 100653.27) == tuple(round(x, 2) for x in bosch(415148, 519888, 0)[:2])


def test_bme280_compensation(bench: Bench) -> None:
    """Integer arithmetic of the board and floating point of the data sheet must tell the same weather."""
    chance = random.Random(20261121)
    raws = [
        (chance.randrange(330000, 600000), chance.randrange(330000, 700000), chance.getrandbits(16))
        for _ in range(200)
    ]
    typed = "".join(f"{p} {t} {h}\n" for p, t, h in raws)
    readings = bench.run("bme280", typed=typed)
    assert len(raws) == len(readings)
    compared = 0
    for raw, (temperature, pressure, humidity) in zip(raws, readings, strict=True):
        celsius, pascal, percent = bosch(*raw)
        if not -39.9 <= celsius <= 84.9:
            continue
        assert celsius * 100 == pytest.approx(temperature, abs=1.01)
        assert percent * 100 == pytest.approx(humidity, abs=8)  # its last bits: data sheet, 4.2.3
        if 30010 <= pascal <= 109990:
            assert pascal == pytest.approx(pressure, abs=2)
            compared += 1
        elif not 29990 <= pascal <= 110010:
            assert pressure is None
    assert compared > 50


def test_bme280_faults(bench: Bench) -> None:
    """Without a checksum on the bus, what cannot be the chip's answer must not become a signed reading."""
    readings = bench.run("bme280_faults")
    good, none = readings[0], [None, None, None]
    assert [2508, 100653] == good[:2]
    assert [good, none, none, good] == readings[:4]
    assert [good, none, good, none, good] == readings[4:9]
    # skipped temperature, pressure out of range, temperature out of range
    assert [none, [2508, None, good[2]], none, good] == readings[9:13]
    # another chip: the first reading notices, the second one measures without humidity
    assert [none, [2508, 100653, None], none] == readings[13:]


# --- DS18B20


def test_ds18b20_table(bench: Bench) -> None:
    """Table 1 of the data sheet, exactly; +85 is what a probe says that never measured."""
    table = {
        "07d0": 125.0,
        "0551": 85.0625,
        "0191": 25.0625,
        "00a2": 10.125,
        "0008": 0.5,
        "0000": 0.0,
        "fff8": -0.5,
        "ff5e": -10.125,
        "fe6f": -25.0625,
        "fc90": -55.0,
    }
    assert [[round(x * 10000)] for x in table.values()] == bench.run("ds18b20", *table)
    assert [[None], [None], [None]] == bench.run("ds18b20", "0550", "07d1", "fc8f")


def test_ds18b20_bits(bench: Bench) -> None:
    """A probe set to fewer bits sends undefined ones: they are not measured, and the wait is shorter."""
    values = bench.run("ds18b20_bits")
    assert [[round(x * 10000)] for x in (25.9375, 25.875, 25.75, 25.5)] == [v[:1] for v in values]
    assert [750, 380, 190, 100] == [value[1] for value in values]


def test_ds18b20_faults(bench: Bench) -> None:
    """A line on ground reads as 0 degrees with a right checksum: nobody may get that signed."""
    good, none = [250625], [None]
    readings = bench.run("ds18b20_faults")
    # after "busy": power that was lost shows again as +85 until the next conversion
    assert [good, none, none, none, none, good] == readings[:6]
    assert [none, none, none] == readings[6:9]
    assert [[-101250]] == readings[9:]


def test_ds18b20_named_probes(bench: Bench) -> None:
    """Two probes must never change places, and one that fails must not hide the other."""
    channels, *readings = bench.run("ds18b20_named")
    assert [["inlet", "Cel", -4], ["outlet", "Cel", -4]] == channels
    both, without = [250625, -550000], [None, -550000]
    assert [both, without, without, both, [250625, None]] == readings


# --- ADC


def test_adc(bench: Bench) -> None:
    """Millivolt, rounded; a converter that fails is null."""
    readings = bench.run("adc", "{}", 1250400, 1250500, 0, "error", 3000)
    assert [[["voltage", "V", -3]], [1250], [1251], [0], [None], [3]] == readings


def test_adc_as_a_level(bench: Bench) -> None:
    """A cut wire of a 4 to 20 mA loop must be null, and not an empty tank."""
    settings: dict[str, object] = {"zero_mv": 480, "multiply": 5000, "divide": 1920}
    settings |= {"low_mv": 430, "high_mv": 2500, "name": "level", "unit": "m"}
    readings = bench.run("adc", json.dumps(settings), 480000, 1440000, 2400000, 0, 2600000)
    assert [[["level", "m", -3]], [0], [2500], [5000], [None], [None]] == readings
    assert [[["voltage", "V", -3]], [None]] == bench.run("adc", '{"pin": 25}', 1000)


# --- pulses


def test_pulses_while_signing(bench: Bench) -> None:
    """A kilowatt-hour that came during a signature has to be paid for: the hardware counts it."""
    assert [3600 * n for n in (1, 9, 29)] == bench.run("pulse_signing", "counter")
    # without a pulse counter 8 of 20 wait; docs/sensors.md says so
    assert [3600 * n for n in (1, 9, 17)] == bench.run("pulse_signing", "interrupt")


def test_a_contact_that_bounces(bench: Bench) -> None:
    """A contact that closes once is one pulse."""
    assert [4 * 3600] == bench.run("pulse_bounces")


def test_the_hardware_count_wraps(bench: Bench) -> None:
    """A total that jumps or falls when a register is full would be disputed, and lost."""
    edge = 2**31
    values = [0, 5, edge - 3, -edge + 4, -1, 2, 4, 1]
    pulses = bench.run("pulse_wraps", *values)
    since = [5, edge - 3, edge + 4, 2**32 - 1, 2**32 + 2, 2**32 + 4, 2**32 + 5]
    assert since == pulses


def test_power(bench: Bench) -> None:
    """Watt from the distance of pulses; without pulses it falls, and is never made up."""
    readings = bench.run("pulse_power", 1000, 1, 10, 0, 10, 1, 10, 0, 10, 0, 10, 0, 10, 20, 10)
    assert [None, None, None, 180, 180, 180, 120, 1800] == [watt for _, watt in readings]
    assert [0, 1, 1, 2, 2, 2, 2, 22] == [joule // 3600 for joule, _ in readings]
    assert [[0, None], [562, None], [1125, 56]] == bench.run("pulse_power", 6400, 1, 10, 1, 10)


@pytest.mark.parametrize("end", ["deepsleep", "reset", "cut"])
def test_the_count_is_kept(bench: Bench, end: str) -> None:
    """Sleep and reset lose nothing, a power cut at most what came since the last save."""
    assert [0, 3600 * 42, "somebody else's"] == bench.run("pulse_kept", 41, 599, end)
    assert {"deepsleep": DEEPSLEEP, "reset": RESET, "cut": POWER_CUT}[end] == bench.status
    expected = 0 if end == "cut" else 42
    after = bench.run("pulse_kept", 7, 600, "cut")
    assert [3600 * expected, 3600 * (expected + 8), "somebody else's"] == after
    # 600 s had passed: this time flash has it
    assert 3600 * (expected + 8) == bench.run("pulse_kept", 0, 0, "cut")[0]


def test_flash_wear_is_bounded(bench: Bench) -> None:
    """A meter at full load must not wear the flash out in a year."""
    # every 600 s; the last of the day falls into the next one
    assert [24 * 6 - 1] == bench.run("pulse_wear", 24)


@pytest.mark.parametrize("what", ["flash", "memory"])
def test_storage_that_takes_nothing(bench: Bench, what: str) -> None:
    """A worn flash must not stop the counting."""
    assert [0, 7200, 14400] == bench.run("pulse_storage", what)


# --- all of them


def test_failures_become_null_and_events(bench: Bench) -> None:
    """A failing sensor gives null and an event at the first failure, another one at recovery; not a reboot."""
    *changes, columns = bench.run("events", "sht3x")
    assert [[], [[1, 1]], [[0, 1]], [], [[0, 0], [1, 0]]] == changes
    temperature, humidity = columns
    assert [0, None, None, 0] == temperature[1:]
    assert [None, None, None, 0] == humidity[1:]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_that_goes_wrong_is_raised(bench: Bench, seed: int) -> None:
    """An exception in a sensor restarts the board: whatever the wires do, there must be none, and no float."""
    (good,) = bench.run("chance", seed)
    assert good > 300


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("sht3x", '{"address": 200}', "ValueError"),
        ("bme280", '{"adress": 118}', "TypeError"),
        ("ds18b20", '{"probes": [["inlet", "28ff"]]}', "ValueError"),
        ("ds18b20", '{"probes": [["inlet", "not hex"]]}', "ValueError"),
        ("adc", '{"samples": 0}', "ValueError"),
        ("adc", '{"attenuation_db": 5}', "ValueError"),
        ("pulse", '{"per_kwh": 0}', "ValueError"),
        ("pulse", '{"save_s": 1}', "ValueError"),
    ],
)
def test_settings_that_make_no_sense(bench: Bench, name: str, arguments: str, error: str) -> None:
    """A slip of the finger has to be found when it is made, not in a year of null readings."""
    assert [error] == bench.run("refused", name, arguments)


def test_devices_of_the_world(bench: Bench) -> None:
    """A demo or a whole-house test plugs simulated chips into a running virtual board."""
    chip = {"kind": "sht3x", "sda": 21, "address": 68, "raw": [26214, 32768]}
    probe = {"kind": "ds18b20", "pin": 4, "rom": "28010203040506", "raw": 0x0191}
    voltage = {"kind": "analog", "pin": 34, "microvolt": 5000}
    world = bench.board / "world.json"
    world.write_text(json.dumps({"devices": [chip, probe]}))
    assert [[2500, 5000]] == bench.run("world", "sht3x")
    assert [[250625]] == bench.run("world", "ds18b20")
    world.write_text(json.dumps({"devices": [{**chip, "fault": "crc"}, voltage]}))
    assert [[None, None]] == bench.run("world", "sht3x")
    assert [[None]] == bench.run("world", "ds18b20")


# --- the page


def fenced(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)


def test_example_of_the_page_runs(bench: Bench) -> None:
    """Whoever copies the example onto a board must get readings out of it."""
    (example,) = fenced("python")
    assert 20 >= len(example.strip().splitlines())
    place = bench.board / "flash" / "sensors"
    place.mkdir()
    (place / "lm75.py").write_text(example)
    for name in ("__init__.py", "i2c.py"):
        (place / name).write_text((FIRMWARE / "sensors" / name).read_text())
    degrees = [25.0, 0.5, 0.0, -0.5, -25.0, 125.0, -55.0]
    expected = [[round(10 * value)] for value in degrees]
    assert [*expected, [None]] == bench.run("lm75", *(round(value * 2) for value in degrees))


def test_page_lists_every_sensor(bench: Bench) -> None:
    """A sensor or a channel that the page does not name cannot be chosen by who reads it."""
    rows = {
        cells[0].strip("`"): cells[1]
        for cells in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in DOCS.read_text().splitlines()
            if line.startswith("| `sensors.")
        )
    }
    modules = [name for name in SENSORS if name not in ("__init__", "i2c")]
    assert sorted(rows) == [f"sensors.{name}" for name in modules]
    for name in modules:
        (channels,) = bench.run("listed", name)
        for channel, unit, exponent in channels:
            assert f"`{channel}` {unit} {exponent}" in rows[f"sensors.{name}"]


def test_settings_of_the_page(bench: Bench) -> None:
    """Each example of settings must be taken by the sensor that it is for."""
    lines = [json.loads(line) for block in fenced("json") for line in block.strip().splitlines()]
    assert len(lines) >= 5
    for line in lines:
        name = line["sensor"].removeprefix("sensors.")
        assert [] == bench.run("refused", name, json.dumps(line["sensor_args"]))
