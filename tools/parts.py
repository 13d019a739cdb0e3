"""Where the programs stand that `make setup` prepared, and how to start them.

The tests and the demo run the real programs: a mosquitto broker, and MicroPython with 64-bit and
with 32-bit words. A missing part is an error with a hint, never a reason to leave a test out.

    with Broker(Path("state")) as broker:
        ...connect to ("127.0.0.1", broker.port)...
        broker.kill()  # as a power cut would
        broker.start()  # the same port, and what was on disk
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
PARTS = ROOT / ".parts"

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 10.0
ACCEPT_INTERVAL_S = 0.02


class MissingPartError(Exception):
    """A program that `make setup` prepares is not there."""


class BrokerError(Exception):
    """The broker did not start; the text ends with its own last words."""


def part(name: str) -> Path:
    """The path of something below `.parts`; raises MissingPartError where it is absent."""
    path = PARTS / name
    if not path.exists():
        message = f"no '.parts/{name}' in '{ROOT}'\nhint: run make setup"
        raise MissingPartError(message)
    return path


def micropython64() -> list[str]:
    """Argument list that starts MicroPython's unix port with 64-bit words; append its arguments."""
    return [str(part("bin/micropython"))]


def micropython32() -> list[str]:
    """The same with 32-bit words, as on the board: small ints of 31 bits, viper words of 32."""
    return [str(part("bin/micropython32"))]


def micropython_lib() -> Path:
    """Folder for MICROPYPATH with the modules that a board installs: `umqtt.simple`."""
    return part("micropython-lib")


def mosquitto() -> list[str]:
    """Argument list that starts the broker; append its arguments."""
    return [str(part("bin/mosquitto"))]


def promtool() -> list[str]:
    """Argument list that starts Prometheus' own checker; append its arguments."""
    return [str(part("bin/promtool"))]


def chromium() -> Path:
    """The browser that tests drive: a script that starts it with its libraries and fonts."""
    return part("bin/chromium")


def cwt_python() -> Path:
    """Python that has `cwt`, a second COSE implementation; it needs an older cbor2 than ours."""
    return part("cwt-venv/bin/python")


def tlog_client() -> list[str]:
    """Argument list that starts `aics-tlog`, a C2SP client of logs (tlog-tiles, tlog-checkpoint) that others wrote."""
    return [str(part("witness-venv/bin/python")), "-m", "aics_tlog"]


def witness() -> list[str]:
    """Argument list that starts `aics-witness`, a C2SP witness (tlog-witness) that others wrote."""
    return [str(part("witness-venv/bin/python")), "-m", "aics_witness"]


def free_port() -> int:
    """A TCP port that nobody listens on, on loopback, at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Broker:
    """A mosquitto on loopback that keeps its state in `folder` and its port for life.

    `config` is appended to the configuration (ACL, logins, limits); every client is let in unless
    it says `allow_anonymous`. `log` is what the broker said. Retained and queued messages outlive
    `stop`. As with any mosquitto, `kill` loses what came since it last wrote its state, though it
    has acknowledged it: a client that must not lose a message cannot rely on PUBACK.
    """

    def __init__(self, folder: Path, *, port: int | None = None, config: str = "") -> None:
        self.folder = folder.resolve()
        self.port = free_port() if port is None else port
        self.log = self.folder / "mosquitto.log"
        self._extra = config
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process number while the broker runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the broker and return when it accepts connections; BrokerError if it does not."""
        if self.pid is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "mosquitto.conf"
        config.write_text(self._configuration())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*mosquitto(), "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._accepts():
            if self.pid is None or time.monotonic() > deadline:
                self.kill()
                last = self.log.read_text(errors="replace").strip().splitlines()[-3:]
                message = f"mosquitto does not accept on port {self.port}: {' / '.join(last)}"
                raise BrokerError(message)
            time.sleep(ACCEPT_INTERVAL_S)

    def stop(self) -> None:
        """End the broker in good order: it writes its state first. No effect if it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the broker at once, as a power cut would. No effect if it does not run."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    def _configuration(self) -> str:
        lines = [
            f"listener {self.port} {LOOPBACK}",
            "persistence true",
            f"persistence_location {self.folder}/",
            # every second change, not every half hour
            "autosave_on_changes true",
            "autosave_interval 1",
            "log_dest stdout",
        ]
        if os.getuid() == 0:
            # it would otherwise become a user who cannot write to this folder
            lines.append("user root")
        if "allow_anonymous" not in self._extra:
            lines.append("allow_anonymous true")
        return "\n".join([*lines, self._extra.strip()]) + "\n"

    def _accepts(self) -> bool:
        try:
            socket.create_connection((LOOPBACK, self.port), timeout=1).close()
        except OSError:
            return False
        return self.pid is not None
