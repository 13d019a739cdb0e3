"""Ports: which there are, which is meant, why one cannot be opened."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from tallystick_host import boards, cli, ports
from tallystick_host.errors import UndoneError, UseError
from tests.host_tools.conftest import Tally
from tests.host_tools.mirror import Mirror

ALL = boards.load_all()


def plugged(name: str, vid: int | None, pid: int | None = None, serial: str = "") -> ListPortInfo:
    """A port as pyserial describes it."""
    info = ListPortInfo(name)
    info.vid, info.pid, info.serial_number, info.description = vid, pid, serial, "USB\x1b[2J"
    return info


@pytest.fixture
def usb(monkeypatch: pytest.MonkeyPatch) -> list[ListPortInfo]:
    """What is plugged in; tests fill it."""
    present: list[ListPortInfo] = []
    monkeypatch.setattr(list_ports, "comports", lambda: present)
    return present


def test_no_board(usb: list[ListPortInfo]) -> None:
    """Broken: a cable that only charges ends in a traceback, or a modem of the computer is flashed."""
    usb.append(plugged("/dev/ttyS0", None))
    usb.append(plugged("/dev/ttyACM7", 0x046D, 0xC52B))
    with pytest.raises(UndoneError) as raised:
        ports.choose("auto", ALL)
    assert "port.none" == raised.value.code
    assert "some only charge" in raised.value.hint


def test_one_board(usb: list[ListPortInfo]) -> None:
    """Broken: somebody with one board has to find out its port's name."""
    usb += [plugged("/dev/ttyS0", None), plugged("/dev/ttyUSB3", 0x10C4, 0xEA60)]
    assert "/dev/ttyUSB3" == ports.choose("auto", ALL)
    # the USB of a C3 itself is no bridge, and on no ESP32
    usb[:] = [plugged("/dev/ttyACM0", 0x303A, 0x1001)]
    assert "/dev/ttyACM0" == ports.choose("auto", [boards.find("ESP32_GENERIC_C3")])
    with pytest.raises(UndoneError):
        ports.choose("auto", [boards.find("ESP32_GENERIC")])


def test_two_boards(usb: list[ListPortInfo]) -> None:
    """Broken: the wrong one of two boards is written to."""
    usb.append(plugged("/dev/ttyUSB0", 0x10C4, 0xEA60, "0001"))
    usb.append(plugged("/dev/ttyUSB1", 0x1A86, 0x7523, "0002"))
    with pytest.raises(UseError) as raised:
        ports.choose("auto", ALL)
    assert "2 boards on USB: /dev/ttyUSB0 (id:0001), /dev/ttyUSB1 (id:0002)" == raised.value.detail
    assert "/dev/ttyUSB1" == ports.choose("id:0002", ALL)
    with pytest.raises(UndoneError):
        ports.choose("id:0003", ALL)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("u0", "/dev/ttyUSB0"),
        ("a12", "/dev/ttyACM12"),
        ("c5", "COM5"),
        ("/dev/x", "/dev/x"),
        ("u", "u"),
    ],
)
def test_short_names(text: str, name: str) -> None:
    """Broken: a name that works with mpremote does not work here."""
    assert name == ports.choose(text, ALL)


def test_the_trouble_of_a_port(
    usb: list[ListPortInfo],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Broken: `tally devices` lists a port that cannot be opened as if it could."""
    port = tmp_path / "tty"
    port.touch()
    usb.append(plugged(str(port), 0x303A, 0x1001, "AB"))
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(port))
    assert 0 == cli.main(["devices", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert ("permission denied", "303a:1001", "AB") == (
        facts["trouble"],
        facts["usb"],
        facts["serial"],
    )
    assert ["ESP32_GENERIC_C3", "ESP32_GENERIC_C6", "ESP32_GENERIC_S3"] == facts["boards"]
    assert "USB\\x1b[2J" == facts["description"]
    assert 0 == cli.main(["devices"])
    shown = capsys.readouterr()
    assert "permission denied" in shown.out
    assert "usermod -aG dialout" in shown.err
    with pytest.raises(UndoneError) as raised:
        ports.choose("auto", ALL)
    assert "port.open" == raised.value.code


def test_the_command_without_a_board(tally: Tally) -> None:
    """Broken: a computer without ports gives an error instead of an empty list."""
    ran = tally("devices", "--json")
    assert 0 == ran.status
    assert all(json.loads(line)["usb"] for line in ran.out.splitlines())


def test_the_boards_that_are_known(tally: Tally) -> None:
    """Broken: the page of a board, or the check of a new one, is not what its file says."""
    ran = tally("boards", "show", "lilygo_t_a7670")
    assert 0 == ran.status
    assert ["modem.power_on", "GPIO", "12"] in [line.split() for line in ran.out.splitlines()]
    assert "2. join IO0 and GND with a wire" in ran.out
    assert "a strap (flash voltage)" in ran.err
    good = (boards.folder() / "ESP32_GENERIC_C3" / "board.toml").read_text()
    tally.write("MINE/board.toml", good.replace("ESP32_GENERIC_C3", "MINE", 1))
    assert (0, "MINE: good\n") == (
        tally("boards", "check", "MINE").status,
        tally("boards", "check", "MINE").out,
    )
    tally.write("MINE/board.toml", good)
    ran = tally("boards", "check", "MINE")
    assert 2 == ran.status
    assert "is not the folder's name" in ran.err


def entry(id: str, **facts: object) -> dict[str, object]:
    return {"id": id, "name": None, "enrolled": True, "last_seen": None, **facts}


def page(listed: list[dict[str, object]], *, more: bool = False) -> bytes:
    return json.dumps({"devices": listed, "more": more}).encode()


def test_the_boards_of_a_gateway(tally: Tally) -> None:
    """Broken: an engineer cannot see from his desk which boards a gateway hears."""
    first = entry("0011223344556677", name="tank-7", last_seen=1_800_000_000)
    second = entry("8899aabbccddeeff", enrolled=False)
    pages = {
        "/v1/devices": page([first], more=True),
        f"/v1/devices?after={first['id']}": page([second]),
    }
    with Mirror(pages) as gateway:
        ran = tally("devices", "--gateway-url", gateway.url)
        assert 0 == ran.status, ran.err
        lines = [line.split() for line in ran.out.splitlines()[-2:]]
        assert ["0011223344556677", "tank-7", "2027-01-15T08:00:00Z"] == lines[0]
        assert ["8899aabbccddeeff", "-", "never", "not", "enrolled", "any", "more"] == lines[1]
        told = [
            json.loads(line)
            for line in tally("devices", "--gateway-url", gateway.url, "--json").out.splitlines()
        ]
        assert [{"schema": 1, **first}, {"schema": 1, **second}] == told[-2:]
        for strange in (b"[]", b"<html>", b'{"devices": {}}', page([entry("x", enrolled=1)])):
            pages["/v1/devices"] = strange
            ran = tally("devices", "--gateway-url", gateway.url)
            assert (5, "gives no list of boards (source.form)" in ran.err) == (ran.status, True)
        pages["/v1/devices"] = page([], more=True)
        ran = tally("devices", "--gateway-url", gateway.url)
        assert "the gateway knows no boards\nhint: tally provision" in ran.err
        gateway.shutdown()
    ran = tally("devices", "--gateway-url", "gateway.local")
    assert 2 == ran.status
