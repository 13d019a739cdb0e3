"""A whole site on one machine: broker, ledger, gateway and virtual boards, all real processes.

The demo and the tests of the whole stand on it. What is started here is ended here: at the end,
on an error and on Ctrl-C. Single processes can be killed as a power cut would, and started again.

    with Site(Path("build/site")) as site:
        site.make_keys()
        site.start_services()
        site.enrol("cold-room", bits=32, interval_ms=1000)
        site.start_board("cold-room")
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools.parts import LOOPBACK, ROOT, Broker, free_port

BIN = ROOT / ".venv" / "bin"
BOARD = ROOT / "firmware" / "virtual" / "board.py"
STOP_TIMEOUT_S = 8.0
POLL_S = 0.2
COMMAND_TIMEOUT_S = 90.0


class SiteError(Exception):
    """A step did not do what it should; the text says which and how."""


def command(*argv: str | Path, ok: Sequence[int] = (0,), home: Path | None = None) -> str:
    """Run one of our commands to its end and give its standard output."""
    environment = dict(os.environ, NO_COLOR="1")
    if home is not None:
        environment["TALLY_HOME"] = str(home)
    words = [str(BIN / str(argv[0])), *map(str, argv[1:])]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            env=environment,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SiteError(f"{argv[0]} {argv[1]} did not end") from error
    if done.returncode not in ok:
        shown = " ".join(map(str, argv))
        raise SiteError(f"{shown} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def wait_for(what: str, happened: Callable[[], bool], timeout_s: float) -> None:
    """Ask again and again until it happened; `SiteError` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            raise SiteError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(POLL_S)


class Program:
    """One process of the site; its output is appended to `log`."""

    def __init__(self, name: str, argv: Sequence[str | Path], log: Path) -> None:
        self.name = name
        self.log = log
        self._argv = [str(word) for word in argv]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.running:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone, and we end them in order
            )

    @property
    def running(self) -> bool:
        """Is it there?"""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """What it ended with, None while it runs or before it ran."""
        return self._process.poll() if self._process is not None else None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def ask_to_stop(self) -> None:
        """SIGTERM; `stop` waits for it."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it in good order, and by force if it does not listen."""
        self.ask_to_stop()
        if self._process is not None:
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def last_words(self) -> str:
        """The end of its log."""
        return " / ".join(self.log.read_text(errors="replace").splitlines()[-5:])


class Site:
    """The site below `folder`; a context manager that leaves no process behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "laptop"
        self.gateway_folder = folder / "gateway"
        self.ledger_folder = folder / "ledger"
        self.enrolment = self.gateway_folder / "enrolment.json"
        self.policy = self.home / "policy.toml"
        self.gateway_address = f"{LOOPBACK}:{free_port()}"
        self.ledger_address = f"{LOOPBACK}:{free_port()}"
        self.broker = Broker(folder / "broker")
        self.gateway_line = ""
        self.ledger_line = ""
        self.programs: dict[str, Program] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.broker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def broker_address(self) -> str:
        """HOST:PORT of the broker."""
        return f"{LOOPBACK}:{self.broker.port}"

    @property
    def gateway_url(self) -> str:
        """Where the gateway answers."""
        return f"http://{self.gateway_address}"

    @property
    def ledger_url(self) -> str:
        """Where the ledger answers."""
        return f"http://{self.ledger_address}"

    def make_keys(self) -> None:
        """Owner, issuer, ledger and gateway make their keys; the laptop's policy trusts them."""
        command("tally", "init", home=self.home)
        command("tally-ledger", "init", "--dir", self.ledger_folder, "--name", "site")
        command("tally-gateway", "init", "--dir", self.gateway_folder)
        self.ledger_line = command("tally-ledger", "identity", "--dir", self.ledger_folder).strip()
        self.gateway_line = command(
            "tally-gateway", "identity", "--dir", self.gateway_folder
        ).strip()
        command("tally", "policy", "trust", "ledger", self.ledger_line, home=self.home)
        command("tally", "policy", "trust", "gateway", self.gateway_line, home=self.home)

    def start_services(self) -> None:
        """Start ledger and gateway, and wait until both answer."""
        self.start(
            "ledger",
            [
                *(BIN / "tally-ledger", "run", "--dir", self.ledger_folder),
                *("--broker", self.broker_address, "--http", self.ledger_address),
                *("--interval", "1"),
            ],
        )
        self.start(
            "gateway",
            [
                *(BIN / "tally-gateway", "run", "--dir", self.gateway_folder),
                *("--broker", self.broker_address, "--http", self.gateway_address),
                *("--ledger", self.ledger_line, "--enrolment", self.enrolment),
                *("--anchor-interval", "1", "--checkpoint-interval", "1"),
            ],
        )
        wait_for("the gateway answers", lambda: self.ask("/healthz") is not None, 20)

    def enrol(self, name: str, *, bits: int, interval_ms: int, batch: int = 1) -> str:
        """Lay out a virtual board, have it make its key, and enrol it; gives its id."""
        board = self.folder / name
        subprocess.run([sys.executable, BOARD, board, "--bits", str(bits), "--prepare"], check=True)
        command(
            *("tally", "enrol", "--enrolment", self.enrolment, "--virtual", board),
            *("--name", name, "--gateway", self.gateway_line),
            *("--broker", self.broker_address, "--interval", str(interval_ms)),
            *("--batch", str(batch)),
            home=self.home,
        )
        devices = json.loads(self.enrolment.read_text())["devices"]
        return str(next(one["id"] for one in devices if one["name"] == name))

    def start_board(self, name: str) -> Program:
        """Start the virtual board of that name."""
        return self.start(name, [sys.executable, BOARD, self.folder / name])

    def start(self, name: str, argv: Sequence[str | Path]) -> Program:
        """Start a process whose output goes to `<name>.log`; it ends with the site."""
        program = Program(name, argv, self.folder / f"{name}.log")
        self.programs[name] = program
        program.start()
        return program

    def stop(self) -> None:
        """End everything, the boards first, and wait until it has ended."""
        programs = list(reversed(self.programs.values()))
        for program in programs:
            program.ask_to_stop()
        for program in programs:
            program.stop()
        self.broker.stop()

    def check_alive(self) -> None:
        """`SiteError` if a process ended by itself."""
        for name, program in self.programs.items():
            if not program.running:
                raise SiteError(f"{name} ended with {program.exit_status}: {program.last_words()}")

    def ask(self, path: str) -> Any:
        """The gateway's answer to GET `path`, decoded from JSON; None while it has none."""
        try:
            host, _, port = self.gateway_address.partition(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=5)
            with closing(connection):
                connection.request("GET", path)
                answer = connection.getresponse()
                return json.load(answer) if answer.status == HTTPStatus.OK else None
        except (OSError, http.client.HTTPException):
            return None

    def device(self, device_id: str) -> dict[str, Any]:
        """What the gateway says of a device; empty while it does not answer."""
        answer = self.ask(f"/v1/devices/{device_id}")
        return answer if isinstance(answer, dict) else {}
