"""The simulated chip: what works on it would work on the chip, and what the chip refuses it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
import tty
from pathlib import Path

import pytest

from firmware import build as firmware_build
from tests.firmware.bench import FIRMWARE, WAIT_S, VirtualBoard, on_board
from tests.parts import ROOT

SCRIPT = ROOT / "tests" / "firmware" / "on_board" / "chip_partition.py"
OTA_TABLE = FIRMWARE / "virtual" / "partitions-4MiB-ota.csv"
SLEEPS = 65


def _modem(terminal: int) -> None:
    """What stands at the other end of the port."""
    answers = {b"AT\r": b"OK\r\n1234567", b"more": b"x" * 1000, b"slow": b"y" * 1000}
    while True:
        try:
            asked = os.read(terminal, 100)
        except OSError:
            return
        os.write(terminal, answers[asked])


def test_serial_port(tmp_path: Path, micropython64: list[str]) -> None:
    """A modem's driver relies on it: bytes come at the line's rate, wait in a small buffer, and are lost beyond it."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    (tmp_path / "world.json").write_text(json.dumps({"uart": {"1": os.ttyname(theirs)}}))
    threading.Thread(target=_modem, args=(ours,), daemon=True).start()
    try:
        said = on_board(micropython64, "chip_uart.py", tmp_path)
    finally:
        os.close(theirs)
        os.close(ours)
    assert [
        "written 3",
        "line b'OK\\r\\n'",
        "bytes b'1234'",
        "into 3 b'567'",
        "silence None True",
        "idle 0",
        "awake 1",
        "kept 200 True",
        "slow True",
        "closed -259",
        "number UART(3) does not exist",
        "bits invalid data bits",
        "unwired None 4",
    ] == said.splitlines()


class Chip:
    """The chip with its ROM, and `chip_partition.py` as what it runs."""

    def __init__(self, folder: Path, program: list[str]) -> None:
        self._folder = folder
        self._argv = [*program, str(firmware_build.build_rom("x64") / "start.py")]
        (folder / "flash").mkdir()
        (folder / "flash" / "boot.py").write_text("")
        shutil.copyfile(SCRIPT, folder / "flash" / "main.py")

    def start(self, step: str, status: int = 0, **world: str) -> list[str]:
        (self._folder / "world.json").write_text(json.dumps({"step": step, **world}))
        done = subprocess.run(
            self._argv,
            cwd=self._folder / "flash",
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert status == done.returncode, done.stdout + done.stderr
        return done.stdout.splitlines()

    def put(self, image: bytes) -> None:
        (self._folder / "flash" / "image.bin").write_bytes(image)


def _image(code: bytes) -> bytes:
    """A program as the ESP32's ROM wants it: one segment, checksum, SHA-256 (ESP-IDF, "App Image Format")."""
    head = bytes([0xE9, 1, 2, 0x20]) + bytes(19) + b"\x01"
    body = head + bytes(4) + len(code).to_bytes(4, "little") + code
    checksum = 0xEF
    for value in code:
        checksum ^= value
    body += bytes(15 - len(body) % 16) + bytes([checksum])
    return body + hashlib.sha256(body).digest()


@pytest.fixture
def chip(tmp_path: Path, micropython64: list[str]) -> Chip:
    return Chip(tmp_path, micropython64)


def test_partitions(chip: Chip, tmp_path: Path) -> None:
    """An update is written through these calls: they do to flash what flash allows, and stop at its end."""
    shutil.copyfile(OTA_TABLE, tmp_path / "partitions.csv")
    assert [
        "runs ota_0",
        "target (0, 17, 1638400, 1572864, 'ota_1', False) 384 4096",
        "blank True",
        "programmed b'\\x0f\\n\\n\\x0f'",
        "erased True",
        "end -260 -260",
        "odd -260",
        "no program -5379",
        "found ['ota_0', 'ota_1'] 2",
        "data 983040",
        "data starts -258",
    ] == chip.start("blocks")
    assert ["runs ota_0", "written -1"] == chip.start("broken", storage="flash broken")


def test_update_and_rollback(chip: Chip, tmp_path: Path) -> None:
    """A program that does not say that it works is taken back at the next start; one that does stays."""
    shutil.copyfile(OTA_TABLE, tmp_path / "partitions.csv")
    chip.put(_image(b"a program" * 100))
    assert ["runs ota_0", "set None ota_1"] == chip.start("write")
    assert ["runs ota_1"] == chip.start("nothing")
    assert ["runs ota_0"] == chip.start("nothing")  # taken back
    assert ["runs ota_0", "set None ota_1"] == chip.start("write")
    assert ["runs ota_1"] == chip.start("sleep", SLEEPS)
    assert ["runs ota_1", "confirmed None"] == chip.start("confirm")  # a wake-up is no start
    assert ["runs ota_1"] == chip.start("nothing")
    assert ["runs ota_1"] == chip.start("nothing")


@pytest.mark.parametrize("at", [0, 30, -33, -1])
def test_damaged_program(chip: Chip, tmp_path: Path, at: int) -> None:
    """One wrong byte, in its head, its code, its checksum or its hash, and it does not start."""
    shutil.copyfile(OTA_TABLE, tmp_path / "partitions.csv")
    image = bytearray(_image(b"a program" * 100))
    image[at] ^= 1
    chip.put(bytes(image))
    assert ["runs ota_0", "set -5379 ota_0"] == chip.start("write")
    assert ["runs ota_0"] == chip.start("nothing")


def test_no_room_for_another_program(chip: Chip) -> None:
    """Most boards are flashed without: an update must learn it before it writes a byte."""
    assert ["runs factory", "next 2", "confirmed -261"] == chip.start("ordinary")


@pytest.mark.usefixtures("micropython64")
def test_a_copied_board_runs(tmp_path: Path) -> None:
    """Whoever copies the folder of a board, links and all, has a clone of it, as a thief would have."""
    with VirtualBoard(tmp_path / "one") as board:
        device = board.info()["id"]
    shutil.copytree(tmp_path / "one", tmp_path / "twin")
    assert not (tmp_path / "twin" / "rom").is_symlink()
    with VirtualBoard(tmp_path / "twin") as twin:
        assert device == twin.info()["id"]
