"""A real gateway process, and a plain MQTT client that plays the boards' side of the broker."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import message, topics
from tallystick.message import Acknowledgement
from tallystick.record import Record
from tests.gateway.boards import Board
from tests.parts import LOOPBACK, free_port

T = TypeVar("T")

PATIENCE_S = 20.0


def eventually(look: Callable[[], T | None], what: str, patience_s: float = PATIENCE_S) -> T:
    """What `look` gives as soon as it is something."""
    deadline = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


def command(*args: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run `tally-gateway` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tallystick_gateway", *map(str, args)],
        capture_output=True,
        check=check,
        timeout=60,
    )


class Field:
    """The boards' side: publishes, and keeps the newest message of every topic."""

    def __init__(self, port: int, client_id: str = "field") -> None:
        self.newest: dict[str, bytes] = {}
        self.seen: list[tuple[str, bytes]] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        self.client.on_message = self._on_message
        self.client.on_connect = lambda client, *_: client.subscribe("tallystick/v1/#", 1)
        self.client.max_queued_messages_set(0)
        self.client.connect(LOOPBACK, port)
        self.client.loop_start()
        eventually(lambda: self.client.is_connected() or None, "connection to the broker")

    def close(self) -> None:
        """Leave the broker."""
        self.client.disconnect()
        self.client.loop_stop()

    def send(self, board: Board, records: Iterable[Record | bytes]) -> None:
        """Publish records on the board's topic; returns when the broker has them."""
        for one in records:
            self.send_raw(topics.Device(board.id).up, one if isinstance(one, bytes) else one.raw)

    def send_raw(self, topic: str, payload: bytes) -> None:
        """Publish anything."""
        self.client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE_S)

    def ack(self, board: Board) -> Acknowledgement | None:
        """The board's newest acknowledgement."""
        raw = self.newest.get(topics.Device(board.id).ack)
        return None if raw is None else message.parse_acknowledgement(raw)

    def acked(self, board: Board, upto: int | None) -> Acknowledgement:
        """The acknowledgement of `upto`, as soon as it is there."""

        def look() -> Acknowledgement | None:
            ack = self.ack(board)
            return ack if ack is not None and ack.upto == upto else None

        return eventually(look, f"acknowledgement of {upto}")

    def _on_message(self, _c: Any, _u: Any, got: paho.MQTTMessage) -> None:
        self.newest[got.topic] = bytes(got.payload)
        self.seen.append((got.topic, bytes(got.payload)))


class Gateway:
    """A data folder with its process. Kill it, copy its folder, start it again."""

    def __init__(self, folder: Path, port: int, ledger: str, *extra: str) -> None:
        self.folder, self.port, self.ledger, self.extra = folder, port, ledger, extra
        self.http = free_port()
        self.errors = folder.with_name(folder.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None
        if not (folder / "gateway.key").exists():
            command("init", "--dir", folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def line(self) -> str:
        """The line of `tally-gateway identity`."""
        return command("identity", "--dir", self.folder).stdout.decode().strip()

    @property
    def id(self) -> bytes:
        """The gateway's id."""
        return bytes.fromhex(self.line.split("+")[0].removeprefix("tallystick/"))

    def enrol(
        self,
        *boards: Board,
        credentials: dict[bytes, bytes] | None = None,
        grant: bytes | None = None,
    ) -> None:
        """Write the enrolment as the owner's command does."""
        held = credentials or {}
        devices = [
            {
                "id": board.id.hex(),
                "did": board.did,
                "name": None,
                "credential": base64.b64encode(held[board.id]).decode()
                if board.id in held
                else None,
            }
            for board in boards
        ]
        text = json.dumps(
            {
                "version": 1,
                "grant": base64.b64encode(grant).decode() if grant else None,
                "devices": devices,
            }
        )
        fresh = self.folder / "enrolment.new"
        fresh.write_text(text)
        fresh.replace(self.folder / "enrolment.json")

    def start(self, *, wait: bool = True, connected: bool = True) -> None:
        """Start the process; with `wait`, return when it answers, `connected` to the broker."""
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tallystick_gateway",
                    "run",
                    *("--dir", str(self.folder)),
                    *("--broker", f"{LOOPBACK}:{self.port}"),
                    *("--ledger", self.ledger),
                    *("--http", f"{LOOPBACK}:{self.http}"),
                    *("--checkpoint-interval", "0.1"),
                    *("--anchor-interval", "0.2"),
                    *("--settle", "0.5"),
                    *self.extra,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        if wait:
            eventually(lambda: self.answers() or None, "an answer")
        if wait and connected:
            self.state("running", "frozen")

    def stop(self) -> float:
        """SIGTERM; the seconds until it has ended."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert 0 == self.process.wait(10)
        self.process = None
        return time.monotonic() - started

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask the HTTP side."""
        return httpx.get(f"http://{LOOPBACK}:{self.http}{path}", headers=headers, timeout=10)

    def json(self, path: str) -> Any:
        """Ask the HTTP side for JSON."""
        return self.get(path).json()

    def state(self, *wanted: str) -> dict[str, Any]:
        """/healthz, as soon as its state is one of `wanted`."""

        def look() -> dict[str, Any] | None:
            status: dict[str, Any] = self.json("/healthz")
            return status if status["state"] in wanted else None

        return eventually(look, f"state {wanted}")

    def counted(self, name: str, least: int) -> int:
        """A counter, as soon as it is at least `least`."""

        def look() -> int | None:
            value = int(self.json("/healthz")["counters"].get(name, 0))
            return value if value >= least else None

        return eventually(look, f"{name} >= {least}")

    def answers(self) -> bool:
        """Does the HTTP side answer?"""
        assert self.process is not None
        assert self.process.poll() is None, self.errors.read_text()[-2000:]
        try:
            return self.get("/v1/identity").status_code == 200
        except httpx.TransportError:
            return False
