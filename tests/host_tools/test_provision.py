"""From MicroPython to a device that signs: real mpremote, real agent, on virtual boards behind serial ports."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tallystick import did
from tallystick.checkpoint import gateway_name
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey
from tallystick_host import label, repl, tray
from tallystick_host.enrolment import Device
from tallystick_host.errors import UseError
from tests.firmware import cellular
from tests.host_tools import bare
from tests.host_tools.bare import BareBoard
from tests.host_tools.conftest import Ran, Tally
from tests.parts import ROOT

# twenty boards need some 50 s on two cores; the default run has fewer
TRAY = int(os.environ.get("TALLY_TEST_TRAY", "6"))
BROKER = ("--broker", "127.0.0.1:1")
KEY = PrivateKey.generate().public
GATEWAY = str(VerifierKey(gateway_name(KEY), KEY))
PASSWORD = "correct horse battery"


def provision(tally: Tally, board: BareBoard, *argv: str | Path) -> Ran:
    more = ("--enrolment", "fleet.json", "--port", str(board.port), "--interval", "500")
    return tally("provision", *more, "--gateway", GATEWAY, *BROKER, *argv)


@pytest.mark.usefixtures("micropython64")
def test_a_board_with_micropython_becomes_a_device(tally: Tally) -> None:
    """Broken: the way from a board to a device has a step that somebody must know and do by hand."""
    tally("init")
    tally.write("password", PASSWORD + "\n")
    wifi = ("--wifi", "Cold Store", "--wifi-password-file", "password")
    with bare.boards(tally.cwd, 1) as (board,):
        ran = provision(
            tally,
            board,
            "--board",
            "VIRTUAL",
            "--name",
            "one",
            "--labels",
            "labels",
            "--json",
            *wifi,
        )
        assert 0 == ran.status, ran.err
        facts = json.loads(ran.out)
        assert ("one", "board") == (facts["name"], facts["looked_at"])
        assert facts["files_written"] > 20
        assert facts["record"] >= 0
        assert "network Cold Store" in facts["changed"]
        assert "sensor virtual_sensor" in facts["changed"]
        built = ROOT / "build" / "firmware" / "x64" / "tally" / "life.mpy"
        assert built.read_bytes() == (board.folder / "flash" / "tally" / "life.mpy").read_bytes()
        settings = json.loads((board.folder / "flash" / "config.json").read_text())
        assert ("Cold Store", PASSWORD) == (settings["wifi_ssid"], settings["wifi_password"])
        before = (tally.cwd / "fleet.json").read_bytes()
        again = provision(tally, board, "--board", "VIRTUAL", "--name", "one", "--json")
        assert (0, []) == (again.status, json.loads(again.out)["changed"]), again.err
        assert 0 == json.loads(again.out)["files_written"]
        assert "provisioned already; nothing changed" in again.err
        assert before == (tally.cwd / "fleet.json").read_bytes()
    devices = json.loads((tally.cwd / "fleet.json").read_text())["devices"]
    assert [facts["id"]] == [one["id"] for one in devices]
    picture = ET.parse(tally.cwd / facts["label"]).getroot()
    words = " ".join(picture.itertext())
    assert facts["did"] in words
    assert facts["id"] in words


@pytest.mark.usefixtures("micropython64")
def test_a_board_is_locked_as_the_last_step(tally: Tally) -> None:
    """Broken: somebody thinks that a board is locked, or locks it before it is a device, or finds no word of why."""
    tally("init")
    with bare.boards(tally.cwd, 1) as (board,):
        ran = provision(tally, board, "--lock", "--commands", "explode")
        assert (2, False) == (ran.status, (board.folder / "flash" / "main.py").exists())
        assert "'explode' is no command of a gateway" in ran.err
        ran = provision(tally, board, "--lock", "--commands", "report unlock", "--json")
        assert 0 == ran.status, ran.err
        facts = json.loads(ran.out)
        assert "locked" == facts["changed"][-1]
        assert any("only secure boot and flash encryption" in note for note in facts["notes"])
        settings = json.loads((board.folder / "flash" / "config.json").read_text())
        assert "report unlock" == settings["commands"]
        argv = [sys.executable, "-m", "mpremote", "connect", str(board.port), "resume"]
        reading = subprocess.run(
            [*argv, "exec", "print(open('config.json').read())"],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert reading.returncode != 0
        assert b"broker" not in reading.stdout
        ran = provision(tally, board, "--interval", "700")
        assert 1 == ran.status
        assert "is locked: nothing can be changed over this cable (provision.locked)" in ran.err
        assert "hint: tally-gateway command ID unlock" in ran.err
        # what it may still be asked
        ran = tally("logs", "--port", str(board.port), "--seconds", "2")
        assert (0, "Traceback" in ran.err) == (ran.status, False), ran.err


@pytest.mark.usefixtures("micropython64")
def test_what_no_gateway_has_is_saved_before_an_identity_is_erased(
    tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: `tally flash --erase-identity` takes signed readings with it that exist nowhere else."""
    tally("init")
    monkeypatch.chdir(tally.cwd)
    with bare.boards(tally.cwd, 1) as (board,):
        assert repl.farewell(str(board.port)) is None  # no agent: nothing to ask
        id = json.loads(provision(tally, board, "--json").out)["id"]
        assert id == repl.farewell(str(board.port))
        saved = {path.name: path for path in tally.cwd.glob(f"{id}-records/erased-*/journal/*")}
        assert saved
        for name, path in saved.items():
            assert (board.folder / "flash" / "journal" / name).read_bytes() == path.read_bytes()
        assert board.seed not in b"".join(path.read_bytes() for path in saved.values())


@pytest.mark.usefixtures("micropython64")
def test_a_copy_that_broke_off_goes_on(tally: Tally) -> None:
    """Broken: half an agent on a board stays there for ever, or starts."""
    tally("init")
    with bare.boards(tally.cwd, 1) as (board,):
        argv = [sys.executable, "-m", "tallystick_host", "provision", "--enrolment", "fleet.json"]
        argv += ["--port", str(board.port), *BROKER, "--interval", "500"]
        running = subprocess.Popen(
            argv, cwd=tally.cwd, env=tally.environment(), stderr=subprocess.DEVNULL
        )
        flash = board.folder / "flash"
        deadline = time.monotonic() + 60
        while len(list(flash.glob("tally/*.mpy"))) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        assert 130 == running.wait(20)
        assert not (flash / "main.py").exists()
        assert not (tally.cwd / "fleet.json").exists()
        written = len(list(flash.glob("tally/*.mpy")))
        # power is cut in the middle of the next file, and a stranger left a file of his own
        (flash / "tally" / "hal.mpy").write_bytes(b"half")
        (flash / "tally" / "stranger.py").write_text("print('I am here')\n")
        board.unplug()
        board.plug()
        board.wait()
        ran = provision(tally, board, "--json")
        assert 0 == ran.status, ran.err
        facts = json.loads(ran.out)
        assert 0 < facts["files_written"] <= 71 - written
        assert not (flash / "tally" / "stranger.py").exists()
        assert b"half" != (flash / "tally" / "hal.mpy").read_bytes()


@pytest.mark.usefixtures("micropython64")
def test_a_board_that_is_pulled_out(tally: Tally) -> None:
    """Broken: a cable that comes loose ends in mpremote's words or a traceback, and nobody dares to try again."""
    tally("init")
    with bare.boards(tally.cwd, 1) as (board,):
        argv = [sys.executable, "-m", "tallystick_host", "provision", "--enrolment", "fleet.json"]
        argv += ["--port", str(board.port), *BROKER, "--interval", "500", "--gateway", GATEWAY]
        running = subprocess.Popen(
            argv, cwd=tally.cwd, env=tally.environment(), stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60
        while len(list((board.folder / "flash").glob("tally/*.mpy"))) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        board.unplug()
        _, said = running.communicate(timeout=60)
        assert 5 == running.returncode, said
        assert "Traceback" not in said
        assert (
            "hint: plug the board in again and repeat the command: it goes on where it was" in said
        )
        assert not (tally.cwd / "fleet.json").exists()


@pytest.mark.usefixtures("micropython64")
def test_a_board_that_cannot_get_in(tally: Tally) -> None:
    """Broken: with a wrong Wi-Fi password, or without a broker, all looks well at the desk, and the field is silent."""
    tally("init")
    tally.write("password", PASSWORD)
    wifi = ("--wifi", "Shed", "--wifi-password-file", "password")
    with bare.boards(tally.cwd, 1) as (board,):
        (board.folder / "world.json").write_text('{"password": "another one"}')
        ran = provision(tally, board, "--json", *wifi)
        assert 0 == ran.status, ran.err
        said, remedy = json.loads(ran.out)["notes"]
        assert "not acknowledged by a gateway yet: the board says 'no network'" in said
        assert "it refuses the password" in said
        assert "the Wi-Fi password is wrong: tally provision --wifi" in remedy
        (board.folder / "world.json").write_text("{}")
        notes = json.loads(provision(tally, board, "--json", *wifi).out)["notes"]
        assert "the board says 'no broker': no connection, error 111" in notes[0]
        assert "does the board reach the broker's address?" in notes[1]


@pytest.mark.usefixtures("micropython64")
def test_another_board_than_was_said(tally: Tally) -> None:
    """Broken: code for an Xtensa chip is put onto a RISC-V one."""
    tally("init")
    with bare.boards(tally.cwd, 1) as (board,):
        ran = provision(tally, board, "--board", "ESP32_GENERIC_C3")
    assert 1 == ran.status
    assert (
        "the board's MicroPython is made for x64, ESP32_GENERIC_C3 has rv32imc (provision.board)"
    ) in ran.err
    assert not (board.folder / "nvs.json").exists()


@pytest.mark.usefixtures("micropython64")
def test_a_tray_of_boards_with_two_that_fail(tally: Tally) -> None:
    """Broken: one bad board in a tray stops the rest, is not named, or is enrolled by half."""
    tally("init")
    with bare.boards(tally.cwd, TRAY) as boards:
        boards[1].unplug()  # no board in its place
        boards[2].unplug()  # a port, and something on it that is no board
        boards[2].port.symlink_to("/dev/null")
        lines = [f"{board.port},tank-{n},VIRTUAL" for n, board in enumerate(boards)]
        path = tally.write("tray.csv", "port,name,board\n" + "\n".join(lines) + "\n")
        common = ("--enrolment", "fleet.json", "--interval", "500", *BROKER)
        gateway = ("--gateway", GATEWAY)
        start = time.monotonic()
        ran = tally("provision", "--tray", path, *common, *gateway)
        print(f"a tray of {TRAY} boards: {time.monotonic() - start:.1f} s")
        assert 1 == ran.status
        assert "Traceback" not in ran.err
        rows = list(csv.DictReader(ran.out.splitlines()))
        assert TRAY == len(rows)
        failed = {row["name"]: row["reason"] for row in rows if row["result"] == "failed"}
        assert {"tank-1", "tank-2"} == set(failed), ran.err
        assert "cannot open the port" in failed["tank-1"]
        assert failed["tank-2"]
        assert f"{TRAY - 2} of {TRAY} boards done" in ran.err
        devices = json.loads((tally.cwd / "fleet.json").read_text())["devices"]
        done = {f"tank-{n}" for n in range(TRAY)} - set(failed)
        assert done == {one["name"] for one in devices}
        boards[2].port.unlink()
        for board in boards[1:3]:
            board.plug()
        for board in boards[1:3]:
            board.wait()
        ran = tally("provision", "--tray", "tray.csv.report.csv", *common, "--json")
        assert 0 == ran.status, ran.err
        results = [json.loads(line) for line in ran.out.splitlines()]
        assert {"done"} == {one["result"] for one in results}
        # only what was left to do was done
        assert {"tank-1", "tank-2"} == {
            line.split(":")[0] for line in ran.err.splitlines() if ": enrolling" in line
        }
    devices = json.loads((tally.cwd / "fleet.json").read_text())["devices"]
    assert {f"tank-{n}" for n in range(TRAY)} == {one["name"] for one in devices}
    assert TRAY == len({one["id"] for one in devices})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\nx\n", "has no column port or virtual"),
        ("port,colour\na,red\n", "unknown column 'colour'"),
        ("port,virtual\na,b\n", "line 2: one of port and virtual is needed"),
        ("port,name\na,x\nb,x\n", "has the name 'x' twice"),
        ("port,name\na,x\na,y\n", "has the port 'a' twice"),
        ("port,name\na\n", "line 2: not 2 columns"),
        ("port,batch\na,many\n", "batch 'many' is no number"),
        ("port\n", "has no boards"),
        ("port,name\na,0123456789abcdef\n", "it reads like an id"),
    ],
)
def test_a_tray_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    """Broken: a slip in a spreadsheet is found with half of the boards done."""
    path = tmp_path / "tray.csv"
    path.write_text(text)
    with pytest.raises(UseError) as raised:
        tray.read(path)
    assert said in raised.value.detail


def test_a_name_in_a_label_is_only_a_name() -> None:
    """Broken: a board's name breaks the picture, or puts something of its own into it."""
    device = Device(did.did_key(KEY), "<b>&", b"")
    root = ET.fromstring(label.svg(device))
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert ["<b>&", device.id] == texts


PIN_FILES = {
    "empty": ("", "is empty: no PIN"),
    "blank": ("\n1234\n", "is empty: no PIN"),
    "letters": ("12a4\n", "holds no PIN"),
    "short": ("123\n", "holds no PIN"),
    "long": ("123456789\n", "holds no PIN"),
    "other digits": ("\u0661\u0662\u0663\u0664\n", "holds no PIN"),
    "huge": ("1" * 5000, "is larger than 4096 bytes"),
    "missing": (None, "cannot read"),
}


@pytest.mark.parametrize("option", ["--sim-pin-file", "--card-pin-file"])
@pytest.mark.parametrize("kind", PIN_FILES)
def test_a_file_that_holds_no_pin(tally: Tally, kind: str, option: str) -> None:
    """Broken: a slip in a file is a try of the card's, or stands in a message that others read."""
    text, why = PIN_FILES[kind]
    if text is not None:
        tally.write("the-pin", text)
    ran = tally("provision", "--enrolment", "fleet.json", "--virtual", "b", option, "the-pin")
    assert ran.status in (2, 5)
    assert f"'the-pin' {why}" in ran.err or f"{why} 'the-pin'" in ran.err
    assert "hint: a file whose first line is the PIN: 4 to 8 digits" in ran.err
    assert not text or text.strip() not in ran.err
    assert not (tally.cwd / "b").exists()


BOARD = ROOT / "firmware" / "virtual" / "board.py"


@pytest.mark.usefixtures("micropython64")
@pytest.mark.timeout(300)
def test_a_card_that_does_not_open(tally: Tally) -> None:
    """Broken: a typing error in a PIN locks a card, or leaves a board that no command sets right."""
    tally("init")
    for name, digits in (("wrong", "9876"), ("right", "1234")):
        tally.write(name, digits + "\n")
    folder = tally.cwd / "board"
    cellular.lay_out(folder, modem_args=cellular.settings("SIM7600")["modem_args"])
    card = ("--card", str(tally.cwd / "card.json"), "--applet", "signit")
    port = folder / "tty"
    with cellular.Modem(folder, "SIM7600", 1, *card):
        board = subprocess.Popen(
            [sys.executable, BOARD, folder, "--pty", port],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 30
            while not port.exists():
                assert time.monotonic() < deadline
                time.sleep(0.1)

            def provisioned(*argv: str) -> Ran:
                more = ("--enrolment", "fleet.json", "--port", port, "--board", "VIRTUAL", *BROKER)
                return tally(
                    "provision",
                    *more,
                    "--gateway",
                    GATEWAY,
                    "--key",
                    "signit",
                    "--apn",
                    "net",
                    *argv,
                )

            hint = (
                "hint: look the PIN up, it is not shown again: tally provision --card-pin-file FILE"
            )
            for said in ("card_pin is wrong, 2 tries are left", "card_pin was refused"):
                ran = provisioned("--card-pin-file", "wrong")
                assert 5 == ran.status
                assert f"did not come up: no key: the SIM card says: {said}" in ran.err
                assert "(board.pin)" in ran.err
                assert hint in ran.err
                assert "9876" not in ran.err
            ran = tally("doctor", "--json", "--port", port)
            assert "board.pin" in ran.out
            ran = provisioned("--card-pin-file", "right", "--interval", "500", "--json")
            assert 0 == ran.status, ran.err
            facts = json.loads(ran.out)
            assert facts["record"] >= 0
            assert "card_pin set" in facts["changed"]
            assert facts["did"].startswith("did:key:zDn")  # P-256
        finally:
            os.killpg(board.pid, signal.SIGTERM)
            board.wait()
