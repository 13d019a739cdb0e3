"""Every board's folder: its file, its README, its manifest; and that a wrong file is refused with its reason."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tallystick_host import boards
from tallystick_host.boards import Board, BoardFileError
from tallystick_host.errors import UseError
from tests.parts import ROOT

FOLDER = ROOT / "boards"
ALL = boards.load_all(FOLDER)
HARDWARE = [board for board in ALL if not board.simulator]
GOOD = (FOLDER / "LILYGO_T_A7670" / "board.toml").read_text()


def test_the_boards() -> None:
    """Broken: a board that the docs name is not there, or a folder is not found."""
    assert {
        "ESP32_GENERIC",
        "ESP32_GENERIC_C3",
        "ESP32_GENERIC_C6",
        "ESP32_GENERIC_S3",
        "LILYGO_T_A7670",
        "LILYGO_T_SIM7000G",
        "LILYGO_T_SIM7600",
        "VIRTUAL",
    } <= {board.id for board in ALL}
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == {board.id for board in ALL}


@pytest.mark.parametrize("board", ALL, ids=lambda board: board.id)
def test_a_board_has_its_page_and_its_manifest(board: Board) -> None:
    """Broken: somebody with this board in hand finds no wiring, or cannot freeze the agent."""
    folder = FOLDER / board.id
    page = (folder / "README.md").read_text()
    assert board.id in page or board.simulator
    if not board.simulator:
        assert "| wire | pin |" in page
        for pin in (board.pins["onewire"], board.pins["adc"], board.pins["i2c.sda"]):
            assert re.search(rf"\| .*\b{pin}\b", page), pin
    packages: list[str] = []

    def package(name: str, base_path: str, opt: int) -> None:
        assert (folder / base_path / name).is_dir()
        packages.append(name)

    def module(name: str, base_path: str) -> None:
        assert (folder / base_path / name).is_file()

    nothing = {"include": lambda path: None, "require": lambda name: None}
    text = (folder / "manifest.py").read_text()
    exec(compile(text, "manifest.py", "exec"), {"package": package, "module": module, **nothing})
    assert ["tally", "sensors", "modem"] == packages


@pytest.mark.parametrize("board", HARDWARE, ids=lambda board: board.id)
def test_a_modem_that_is_swapped_is_not_copied(board: Board) -> None:
    """Broken: TX and RX of the T-A7670 stand in the file of the T-SIM7000G, and the modem never answers."""
    wires = (board.pins.get("modem.tx"), board.pins.get("modem.rx"))
    known = {"A7670": (26, 27), "SIM7000G": (27, 26), "SIM7600": (27, 26), "": (None, None)}
    assert known[board.modem] == wires


@pytest.mark.parametrize("board", HARDWARE, ids=lambda board: board.id)
def test_the_agent_is_told_of_the_modem(board: Board) -> None:
    """Broken: `tally provision --apn` sets a board up whose modem stays off, or is switched off at each start."""
    if not board.modem:
        assert {} == board.modem_args
        return
    args = board.modem_args
    assert (board.modem, board.pins["modem.tx"]) == (args["model"], args["tx"])
    assert args["power_key"] == board.pins["modem.power_key"]
    held = {board.pins[name] for name in ("modem.power_on", "modem.flight") if name in board.pins}
    assert held == set(args.get("high", ()))
    assert args["on_ms"] < args["off_ms"]
    assert len(json.dumps(args)) < 400  # beside an access point; the board takes 512


def test_the_strap_of_the_flash_voltage_is_named() -> None:
    """Broken: whoever wires GPIO 12 hears of it only when the board no longer starts."""
    board = boards.read(FOLDER / "LILYGO_T_A7670" / "board.toml")
    assert ("modem.power_on is on GPIO 12, a strap (flash voltage)",) == tuple(
        warning for warning in board.warnings if "GPIO 12" in warning
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("flash_mib = 4", "flash_mib = 4\ncolour = 1", "unknown key in [chip]: 'colour'"),
        ("flash_mib = 4\n", "", "missing key in [chip]: 'flash_mib'"),
        ("[battery]\nadc = 35", "[batery]\nadc = 35", "unknown table: 'batery'"),
        ('[key]\nstorage = "NVS', '[kay]\nstorage = "NVS', "unknown table: 'kay'"),
        ("flash_mib = 4", "flash_mib = true", "chip.flash_mib is no int"),
        ("onewire = 18", "onewire = 21", "GPIO 21 is both i2c.sda and onewire"),
        ("onewire = 18", "onewire = 26", "GPIO 26 is both onewire and modem.tx"),
        ("onewire = 18", "onewire = 9", "onewire is on GPIO 9, which the esp32 does not have free"),
        ("onewire = 18", "onewire = 40", "onewire is on GPIO 40"),
        ("sda = 21", "sda = 34", "i2c.sda is on GPIO 34, which is an input only"),
        ("sda = 21, ", "", "pins.i2c has scl, sda"),
        ("sda = 21", 'sda = "21"', "i2c.sda is no pin"),
        (
            "image_offset = 0x1000",
            "image_offset = 0",
            "image_offset is 0x0; on the esp32 it is 0x1000",
        ),
        ('name = "esp32"', 'name = "esp8266"', "no chip 'esp8266'"),
        ('"1a86:55d4"', '"1a86-55d4"', "usb is a list of vendor:product"),
        ('id = "LILYGO_T_A7670"', 'id = "OTHER"', "is not the folder's name"),
        ('32 = "xtensawin"', 'wide = "xtensawin"', "architectures is {<bits> = <name>}"),
        ('{ 32 = "xtensawin" }', "{}", "architectures is empty"),
        ("[board]", "[board", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    """Broken: a slip of the pen in a board's file is found with a board that does not start."""
    assert 1 <= GOOD.count(old)
    path = tmp_path / "LILYGO_T_A7670" / "board.toml"
    path.parent.mkdir()
    path.write_text(GOOD)
    assert boards.read(path).id == "LILYGO_T_A7670"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(BoardFileError) as raised:
        boards.read(path)
    assert reason in raised.value.detail


def test_a_board_that_is_not_there() -> None:
    """Broken: a typing error ends in a traceback, or without the list of names."""
    assert "VIRTUAL" == boards.find("virtual", FOLDER).id
    with pytest.raises(UseError) as raised:
        boards.find("ESP8266", FOLDER)
    assert "ESP32_GENERIC_S3" in raised.value.hint
