"""The board's serial console, and the virtual board as a program."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import tty
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature

from firmware.build import build, digest
from tests.firmware.bench import (
    CHALLENGE,
    FIRMWARE,
    RECORD,
    GatewayDouble,
    Signed,
    Signer,
    VirtualBoard,
    kid,
)
from tests.parts import Broker

NONCE = bytes(range(16))


@pytest.fixture
def board(tmp_path: Path) -> VirtualBoard:
    return VirtualBoard(tmp_path / "board")


def test_first_start_makes_the_key(board: VirtualBoard) -> None:
    """Every board has a key of its own, made on it, and keeps it through power cuts."""
    with board:
        info = board.info()
        assert info["id"] == kid(bytes.fromhex(info["key"])).hex()
        assert (-19, None, False) == (info["alg"], info["next"], info["provisioned"])
        assert "simulator" in info["board"]
        board.restart()
        assert info["key"] == board.info()["key"]


def test_states_the_digest_of_its_files(board: VirtualBoard) -> None:
    """An owner compares the digest with that of the release: it must be that of the files on the board."""
    with board:
        assert board.info()["digest"] == digest(board.folder / "flash").hex()
        assert board.info()["digest"] == digest(build("x64")).hex()
        board.kill()
    changed = board.folder / "flash" / "lib" / "extra.py"
    changed.parent.mkdir(exist_ok=True)
    changed.write_text("# changed\n")
    assert digest(board.folder / "flash") != digest(build("x64"))


def test_challenge(board: VirtualBoard) -> None:
    """Provisioning enrols a key only with proof that this board holds it, now."""
    with board:
        public = bytes.fromhex(board.info()["key"])
        answer = bytes.fromhex(board.ok(f"challenge {NONCE.hex()}"))
        assert [kid(public), NONCE, -19, public, None] == Signed(answer, public, CHALLENGE).payload
        with pytest.raises((AssertionError, InvalidSignature)):
            Signed(answer, public, RECORD)  # it cannot pass as a record
        board.ok("genesis")
        answer = bytes.fromhex(board.ok(f"challenge {NONCE.hex()}"))
        assert 0 == Signed(answer, public, CHALLENGE).payload[4]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("no such", "ERROR command there is no such command"),
        ("_info", "ERROR command there is no such command"),
        ("info x" + "x" * 5000, "ERROR line longer than 4200 bytes"),
        ("challenge", "ERROR length 16 bytes are needed"),
        ("challenge zz", "ERROR hex hexadecimal digits are needed"),
        ("challenge " + "00" * 17, "ERROR length 16 bytes are needed"),
        ("set owner 00", "ERROR length 32 bytes are needed"),
        ("set interval 5", "ERROR refused interval_ms takes a number from 100 to 86400000"),
        ("set interval soon", "ERROR number a whole number is needed"),
        ("set batch 61", "ERROR refused batch takes a number from 1 to 60"),
        ("set broker h 70000", "ERROR refused broker_port takes a number from 1 to 65535"),
        ("set wifi " + "s" * 33, "ERROR refused wifi_ssid takes a text of 1 to 32 bytes"),
        ('set config {"batch": 2, "x": 1}', "ERROR refused no setting 'x'"),
        ('set config {"batch": true}', "ERROR refused batch takes a number from 1 to 60"),
        ("set config []", "ERROR refused the settings are not a JSON object"),
        ('set config {"batch": 2', "ERROR refused the settings are not a JSON object"),
        ("set grant 00", "ERROR refused grant.owner: this board has no owner yet"),
        ("set credential " + "00" * 261, "ERROR length 1 to 260 bytes are needed"),
        (
            "set",
            "ERROR usage set owner|updates|broker|login|wifi|ca|time|interval|batch|credential|grant|config",
        ),
        ("unset owner yes", "ERROR confirm type: unset owner and the id of this board"),
        ("run", "ERROR config set a broker first"),
    ],
)
def test_errors(board_once: VirtualBoard, line: str, answer: str) -> None:
    """A wrong command changes nothing and says what is wrong; the board goes on."""
    before = board_once.ok("config")
    assert answer == board_once.command(line)
    assert before == board_once.ok("config")


@pytest.fixture(scope="module")
def board_once(tmp_path_factory: pytest.TempPathFactory) -> object:
    with VirtualBoard(tmp_path_factory.mktemp("board")) as one:
        yield one


def test_owner_is_pinned(board: VirtualBoard) -> None:
    """Whoever has a minute at the serial port must not become the owner by accident."""
    first, second = Signer(), Signer()
    with board:
        board.ok(f"set owner {first.public.hex()}")
        board.ok(f"set owner {first.public.hex()}")
        assert "ERROR refused this board has another owner" == board.command(
            f"set owner {second.public.hex()}"
        )
        board.restart()
        assert first.public.hex() == board.info()["owner"]
        board.ok(f"unset owner {board.info()['id']}")
        board.ok(f"set owner {second.public.hex()}")
        assert second.public.hex() == board.info()["owner"]


def test_genesis_once(board: VirtualBoard) -> None:
    """A second record with seq 0 would prove a cloned key."""
    with board:
        board.ok("genesis")
        assert "ERROR refused this board has a chain already" == board.command("genesis")
        board.ok("set broker 127.0.0.1 1")
        board.ok("run")
        deadline = time.monotonic() + 20
        while not board.status()["next"]:
            assert time.monotonic() < deadline
        board.kill()
        shutil.rmtree(board.folder / "flash" / "journal")
        content = json.loads((board.folder / "nvs.json").read_text())
        for slot in ("head_a", "head_b"):
            content["tally"].pop(slot, None)
        (board.folder / "nvs.json").write_text(json.dumps(content))
        board.start()
        assert board.command("genesis").startswith(
            "ERROR refused this board has lost the head of its chain"
        )


def test_no_secret_comes_out(board: VirtualBoard) -> None:
    """Serial logs are pasted into tickets: no password and no key may stand in them."""
    with board:
        board.ok("set wifi site hunter2-hunter2")
        board.ok("set login device swordfish")
        board.ok("set broker 127.0.0.1 1")
        shown = json.loads(board.ok("config"))
        assert (True, True, "site") == (
            shown["wifi_password"],
            shown["broker_password"],
            shown["wifi_ssid"],
        )
        for line in ("info", "status", "help", "fingerprint", "run", "status"):
            board.ok(line)
        time.sleep(0.5)
        seed = json.loads((board.folder / "nvs.json").read_text())["tally"]["key"][:64]
        text = "\n".join(board.said)
        for secret in ("hunter2", "swordfish", seed, bytes.fromhex(seed).decode("latin-1")):
            assert secret not in text


def test_damaged_settings_are_told(board: VirtualBoard) -> None:
    """A board that does not come up must say why, on the port where somebody will look."""
    with board:
        board.info()
        board.kill()
        (board.folder / "flash" / "config.json").write_text("{")
        board.start()
        fault = "the settings are not a JSON object"
        assert ("fault", fault) == (board.info()["state"], board.info()["fault"])
        assert f"ERROR fault {fault}" == board.command("status")


def test_end_of_input_is_no_end(board: VirtualBoard, broker: Broker) -> None:
    """A board under a service has no terminal: it goes on when its input ends."""
    owner, signer = Signer(), Signer()
    with board:
        public = board.provision(owner, signer, broker.port)
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            gateway.wait(2)
            board.close_input()
            gateway.wait(5)


def test_provisioned_board_runs_by_itself(board: VirtualBoard, broker: Broker) -> None:
    """After a power cut nobody is there to type `run`."""
    owner, signer = Signer(), Signer()
    with board:
        public = board.provision(owner, signer, broker.port)
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.restart()
            gateway.wait(3)
            assert "running" in "\n".join(board.said)


def test_one_board_in_a_folder(board: VirtualBoard) -> None:
    """Two processes with one key would fork its chain: the simulator refuses the second."""
    with board:
        board.info()
        argv = [sys.executable, str(FIRMWARE / "virtual" / "board.py"), str(board.folder)]
        second = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert (1, "") == (second.returncode, second.stdout)
        assert "already" in second.stderr


def test_reset_ends_the_process(board: VirtualBoard) -> None:
    """Whoever supervises the simulator tells a reset from a crash by its status."""
    with board:
        board.ok("reset")
        assert 64 == board.ended()


class Port:
    """A serial port, opened as a host does it: without waiting, raw."""

    def __init__(self, link: Path) -> None:
        self.descriptor = os.open(link, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)

    def ask(self, line: str) -> str:
        """The answer; what is typed while a board starts is lost, so it is typed again, as a host does."""
        data = b""
        for _ in range(10):
            os.write(self.descriptor, line.encode() + b"\r\n")
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                if select.select([self.descriptor], [], [], 0.1)[0]:
                    data += os.read(self.descriptor, 4096)
                for answer in data.split(b"\n")[:-1]:
                    if answer.startswith((b"OK", b"ERROR")):
                        return answer.decode().strip()
        raise AssertionError(data)


def test_serial_port(tmp_path: Path) -> None:
    """Provisioning tools open a serial port: it must survive closing, resets and a terminal's habits."""
    link = tmp_path / "tty"
    argv = [
        sys.executable,
        str(FIRMWARE / "virtual" / "board.py"),
        str(tmp_path / "board"),
        "--pty",
        str(link),
    ]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert str(link) in process.stderr.readline()
        port = Port(link)
        first = json.loads(port.ask("info")[3:])
        port.close()
        time.sleep(0.2)
        port = Port(link)
        assert "OK" == port.ask("reset")
        again = json.loads(port.ask("info")[3:])
        assert first["key"] == again["key"]
        assert 2 == json.loads(port.ask("status")[3:])["boots"]
        port.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    assert not link.is_symlink()
