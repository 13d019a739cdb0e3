"""Flashing, with the real esptool, against a chip in download mode (a simulator on a pseudo-terminal)."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import pytest

from tests.host_tools import chips
from tests.host_tools.chips import APP_BYTES, BOARDS, OFFSETS, ChipOnPort
from tests.host_tools.conftest import Ran, Tally
from tests.host_tools.mirror import Mirror
from tests.parts import ROOT

KEY = b"the head of a chain, and what must never be lost"
QUICK = ("--attempts", "1")


def write_image(tally: Tally, chip: str, **kind: object) -> Path:
    name = f"{BOARDS[chip]}-20250911-v1.26.1.bin"
    return tally.write(f"images/{name}", chips.image(chip, **kind))  # type: ignore[arg-type]


def flash(tally: Tally, chip: ChipOnPort, *argv: str | Path) -> Ran:
    return tally("flash", "--port", chip.port, *QUICK, "--images", "images", *argv)


@pytest.mark.parametrize("kind", ["esp32", "esp32c3", "esp32s3", "esp32c6"])
def test_a_bare_board_gets_the_image(tally: Tally, kind: str) -> None:
    """Broken: a board that was flashed does not start, because a byte is wrong or stands in another place."""
    data = write_image(tally, kind).read_bytes()
    with chips.on_port(tally.cwd, kind) as chip:
        ran = flash(tally, chip, "--json")
        assert 0 == ran.status, ran.err
        assert data == chip.read(OFFSETS[kind], len(data))
        assert {
            "schema": 1,
            "board": BOARDS[kind],
            "chip": kind,
            "mac": "24:0a:c4:12:34:56",
            "port": chip.port,
            "image": f"{BOARDS[kind]}-20250911-v1.26.1.bin",
            "sha256": hashlib.sha256(data).hexdigest(),
            "version": "1.26.1",
            "was": "bare",
        } == json.loads(ran.out)
    assert "erasing: the whole flash\n" in ran.err
    assert f"finished: {BOARDS[kind]}, verified\n" in ran.err
    assert "\r" not in ran.err


@pytest.mark.parametrize("kind", ["esp32", "esp32c3"])
def test_an_update_leaves_the_identity_alone(tally: Tally, kind: str) -> None:
    """Broken: a new MicroPython costs the board its key: the padding of the image goes over nvs."""
    with chips.on_port(tally.cwd, kind) as chip:
        write_image(tally, kind)
        assert 0 == flash(tally, chip).status
        chip.put(0x9000, KEY)
        chip.put(0xF000, KEY)
        chip.put(0x200000, KEY)
        chip.put(0x3FF000, KEY)
        data = write_image(tally, kind, seed=2).read_bytes()
        ran = flash(tally, chip, "--json")
        assert 0 == ran.status, ran.err
        assert "update" == json.loads(ran.out)["was"]
        for offset in (0x9000, 0xF000, 0x200000, 0x3FF000):
            assert KEY == chip.read(offset, len(KEY))
        assert data[-APP_BYTES:] == chip.read(0x10000, APP_BYTES)
        start = OFFSETS[kind]
        assert data[: 0x8C00 - start] == chip.read(start, 0x8C00 - start)
        assert "erasing" not in ran.err


@pytest.mark.parametrize("layout", ["another table", "data without a table"])
def test_a_flash_that_is_divided_another_way_is_refused(tally: Tally, layout: str) -> None:
    """Broken: a board provisioned under the table of an OTA image loses its key to a plain image."""
    with chips.on_port(tally.cwd, "esp32") as chip:
        if layout == "another table":
            chip.put(0x8000, chips.table(chips.SMALLER_NVS))
        chip.put(0x9000, KEY)
        write_image(tally, "esp32")
        before = chip.read(0, 4 * 2**20)
        ran = flash(tally, chip)
        assert 1 == ran.status
        assert "the flash is divided another way" in ran.err
        assert "(flash.layout)" in ran.err
        assert "--erase-identity" in ran.err
        assert before == chip.read(0, 4 * 2**20)


def test_the_identity_is_erased_only_when_it_is_meant(tally: Tally) -> None:
    """Broken: a slip of the finger costs a key, or a board that is to get a new one cannot."""
    with chips.on_port(tally.cwd, "esp32") as chip:
        data = write_image(tally, "esp32").read_bytes()
        assert 0 == flash(tally, chip).status
        chip.put(0x9000, KEY)
        ran = flash(tally, chip, "--erase-identity", "--confirm", "yes")
        assert 2 == ran.status
        assert "24:0a:c4:12:34:56 loses its private key" in ran.err
        assert "not confirmed; nothing was erased" in ran.err
        assert KEY == chip.read(0x9000, len(KEY))
        ran = flash(tally, chip, "--erase-identity", "--confirm", "24:0a:c4:12:34:56", "--json")
        assert 0 == ran.status, ran.err
        assert "erased" == json.loads(ran.out)["was"]
        assert b"\xff" * 0x6000 == chip.read(0x9000, 0x6000)
        assert data == chip.read(0x1000, len(data))


def test_another_chip_is_refused(tally: Tally) -> None:
    """Broken: the image of an ESP32 goes onto a C3, which then does not start."""
    with chips.on_port(tally.cwd, "esp32c3") as chip:
        write_image(tally, "esp32")
        ran = flash(tally, chip, "--board", "ESP32_GENERIC")
        assert 1 == ran.status
        assert "the chip is an esp32c3, ESP32_GENERIC has an esp32; nothing was written" in ran.err
        assert chip.is_blank


def test_another_image_is_refused(tally: Tally) -> None:
    """Broken: a file for another chip, or for an update, is found out by a board that does not start."""
    other = tally.write("other.bin", chips.image("esp32c3"))
    update = tally.write("update.bin", chips.image("esp32")[0xF000:])
    text = tally.write("text.bin", "<html>not found</html>")
    for path, said in (
        (other, "is made for the esp32c3, ESP32_GENERIC has the esp32"),
        (update, "has no partition table"),
        (text, "is no image of an ESP32"),
    ):
        ran = tally("flash", "--port", "nowhere", "--board", "esp32_generic", "--firmware", path)
        assert 2 == ran.status
        assert said in ran.err


def test_a_lost_byte_is_sent_again(tally: Tally) -> None:
    """Broken: one bad moment of a cable ends the flashing, or goes into the flash."""
    data = write_image(tally, "esp32").read_bytes()
    with chips.on_port(tally.cwd, "esp32", "lose=3") as chip:
        ran = flash(tally, chip)
        assert 0 == ran.status, ran.err
        assert data == chip.read(0x1000, len(data))


@pytest.mark.parametrize(
    ("mood", "status", "code", "hint"),
    [
        ("refuse=4", 5, "flash.broken", "repeat the command"),
        ("forget", 1, "flash.verify", "the flash is worn"),
        ("silent", 5, "flash.silent", "1. hold BOOT, 2. press and release EN"),
        ("unplug=4", 5, "flash.broken", "repeat the command"),
    ],
)
def test_what_goes_wrong_is_named(
    tally: Tally, mood: str, status: int, code: str, hint: str
) -> None:
    """Broken: a flashing that failed looks like one that did not, or ends in a traceback."""
    data = write_image(tally, "esp32").read_bytes()
    with chips.on_port(tally.cwd, "esp32", mood) as chip:
        ran = flash(tally, chip, "--board", "ESP32_GENERIC")
    assert status == ran.status, ran.err
    assert f"({code})" in ran.err
    assert hint in ran.err
    assert "Traceback" not in ran.err
    assert "" == ran.out
    if mood in ("refuse=4", "unplug=4"):
        with chips.on_port(tally.cwd, "esp32") as chip:
            assert 0 == flash(tally, chip).status
            assert data == chip.read(0x1000, len(data))


def test_the_recipe_is_that_of_the_board(tally: Tally) -> None:
    """Broken: somebody looks for a BOOT button on a board that has none."""
    tally.write("images/ESP32_GENERIC-20250911-v1.26.1.bin", chips.image("esp32"))
    with chips.on_port(tally.cwd, "esp32", "silent") as chip:
        ran = flash(tally, chip, "--board", "LILYGO_T_A7670")
    assert "download mode of LILYGO_T_A7670: 1. unplug the battery" in ran.err
    assert "2. join IO0 and GND with a wire" in ran.err


def test_a_port_that_is_not_there(tally: Tally) -> None:
    """Broken: a typing error ends in esptool's own words."""
    write_image(tally, "esp32")
    ran = tally("flash", "--port", "nowhere", *QUICK, "--images", "images")
    assert 5 == ran.status
    assert "error: cannot open the port 'nowhere' (port.open)" in ran.err


def test_no_image(tally: Tally) -> None:
    """Broken: somebody with a new board does not learn where MicroPython comes from."""
    ran = tally("flash", "--port", "nowhere", "--board", "ESP32_GENERIC_C3", "--images", "images")
    assert 2 == ran.status
    assert "no image ESP32_GENERIC_C3-<date>-v<version>.bin in 'images'" in ran.err
    assert "micropython.org/download/ESP32_GENERIC_C3" in ran.err


def test_fetching_an_image(tally: Tally) -> None:
    """Broken: what was damaged or changed on its way is flashed, or what is right is not found."""
    good = chips.image("esp32")
    name = "ESP32_GENERIC-20250911-v1.26.1.bin"
    digest = hashlib.sha256(good).hexdigest()
    sums = f"{digest}  {name}\n{'0' * 64}  ESP32_GENERIC-20260101-v1.27.0.bin\n".encode()
    newer = name.replace("20250911-v1.26.1", "20260101-v1.27.0")
    content = {
        f"/plain/{name}": good,
        f"/summed/{name}": good,
        f"/summed/{newer}": good,
        "/summed/SHA256SUMS": sums,
    }
    fetch = ("firmware", "fetch", "--images", "images")
    with Mirror(content) as mirror:
        ran = tally(*fetch, f"{mirror.url}/plain/{name}")
        assert (0, f"{digest}  images/{name}\n") == (ran.status, ran.out)
        assert "warning: nobody said which SHA-256 it must have" in ran.err
        ran = tally(*fetch, f"{mirror.url}/summed/{name}", "--json")
        assert json.loads(ran.out)["checked"] is True
        ran = tally(*fetch, f"{mirror.url}/summed/{newer}")
        assert 1 == ran.status
        assert "(image.sum)" in ran.err
        ran = tally(*fetch, f"{mirror.url}/plain/{name}", "--sha256", "1" * 64)
        assert 1 == ran.status
        ran = tally(*fetch, f"{mirror.url}/nothing/{name}")
        assert 5 == ran.status
        assert "answers 404" in ran.err
        ran = tally(*fetch, f"{mirror.url}/plain/..%2f..%2f.profile")
        assert 2 == ran.status
        mirror.shutdown()
    assert {name, "SHA256SUMS"} == {
        path.name for path in (tally.cwd / "images").iterdir() if not path.name.startswith(".")
    }
    assert good == (tally.cwd / "images" / name).read_bytes()
    # what lies there is looked at again before it is flashed
    (tally.cwd / "images" / name).write_bytes(good[:-1] + b"\x02")
    ran = tally("flash", "--port", "nowhere", "--board", "ESP32_GENERIC", "--images", "images")
    assert 1 == ran.status
    assert "is not the file that was fetched" in ran.err


def test_esptool_and_mpremote_are_programs() -> None:
    """Broken: their licence, and their way to end a process, become ours."""
    imported: set[str] = set()
    for path in (ROOT / "host_tools").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    assert "serial" in imported
    assert not imported & {"esptool", "mpremote"}
