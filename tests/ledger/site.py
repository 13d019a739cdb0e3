"""A ledger as a process of its own, and somebody who submits blocks to it: for the tests of this folder."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import block, cbor, checkpoint, did, receipt, statement, topics
from tallystick.block import BlockKind
from tallystick.cose import Signer
from tallystick.keys import PrivateKey
from tallystick.receipt import Receipt, State
from tallystick.statement import StatementKind
from tests.parts import LOOPBACK

WAIT_S = 60.0  # a machine that others use, too, is slow at times

__all__ = ["Following", "Ledger", "Service", "Submitter", "anchor", "gateway_key", "said", "until"]


def gateway_key(number: int = 1) -> PrivateKey:
    """The same key for the same number."""
    return PrivateKey.from_seed(number.to_bytes(32, "big"))


def anchor(parents: Sequence[bytes], size: int = 1, key: PrivateKey | None = None) -> bytes:
    """An anchor block of a gateway's log with `size` leaves."""
    key = key or gateway_key()
    note = checkpoint.sign(key, checkpoint.gateway_name(key.public), size, size.to_bytes(32, "big"))
    return block.sign(key, parents, 1_800_000_000, BlockKind.ANCHOR, note)


def said(
    parents: Sequence[bytes], ledger: bytes, device: Signer, kind: StatementKind, by: PrivateKey
) -> bytes:
    """A statement block about the device whose first key is that of `device`."""
    raw = statement.sign(by, did.did_key(device.public), ledger, None, kind)
    return block.sign(by, parents, 1_800_000_000, BlockKind.STATEMENT, raw)


def until(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """The first true value of `condition`; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.01)
    return value


class Service:
    """`tally-ledger` over one folder, as a process: the options of its command are the subclass's."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.log = folder.with_suffix(".log")
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def arguments(self) -> list[str]:
        """The command's name and what it needs."""
        raise NotImplementedError

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run one command over the folder."""
        first, *rest = args
        return subprocess.run(
            [sys.executable, "-m", "tallystick_ledger", first, "--dir", str(self.folder), *rest],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def start(self, *options: str) -> None:
        """Start the service; `url()` is where it serves HTTP once it has said so."""
        name, *needed = self.arguments()
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tallystick_ledger", name, "--dir", str(self.folder)),
                    *("--broker", f"{LOOPBACK}:{self.port}", "--http", f"{LOOPBACK}:0"),
                    *(*needed, *options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """End it in good order; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(5)
        self.process = None
        return status

    def events(self) -> list[dict[str, Any]]:
        """The lines of its log so far."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def wait_connected(self, times: int) -> None:
        """Wait until its processes have connected to the broker so many times in all."""

        def connected() -> bool:
            return times <= len([one for one in self.events() if one["event"] == "connected"])

        until(connected, f"connection {times}")

    def url(self) -> str:
        """Where the newest process serves HTTP."""
        found = until(
            lambda: [one["port"] for one in self.events() if one["event"] == "http"], "http"
        )
        return f"http://{LOOPBACK}:{found[-1]}"

    def health(self) -> dict[str, Any]:
        """What it says of itself; nothing while it does not answer."""
        try:
            found: dict[str, Any] = httpx.get(f"{self.url()}/healthz").json()
        except httpx.HTTPError:
            return {"status": "", "index": 0}
        return found

    def index(self) -> int:
        """The index of its newest milestone."""
        return int(self.health()["index"])


class Ledger(Service):
    """A ledger that signs."""

    def __init__(self, folder: Path, port: int, interval_s: float = 0.2) -> None:
        super().__init__(folder, port)
        self.interval_s = interval_s
        done = self.command("init", "--name", "test site")
        assert 0 == done.returncode, done.stderr
        self.name = done.stdout.strip()
        self.id = bytes.fromhex(self.name.partition("+")[0].rpartition("/")[2])
        self.topics = topics.Ledger(self.id)

    def arguments(self) -> list[str]:
        """`run`."""
        return ["run", "--interval", str(self.interval_s)]


class Following(Service):
    """A node that follows the ledger with this line."""

    def __init__(self, folder: Path, port: int, name: str) -> None:
        super().__init__(folder, port)
        self.name = name

    def arguments(self) -> list[str]:
        """`follow`."""
        return ["follow", "--ledger", self.name]


class Submitter:
    """Somebody at the broker who submits blocks and keeps all that the ledger publishes."""

    def __init__(self, port: int, ledger: bytes) -> None:
        self.topics = topics.Ledger(ledger)
        self.receipts: dict[bytes, list[Receipt]] = {}
        self.retained: dict[str, bytes] = {}
        self.milestones: list[bytes] = []
        self.blocks: dict[str, bytes] = {}
        self._subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, f"submitter-{os.urandom(4).hex()}")
        self.client.on_connect = lambda client, *_: client.subscribe(f"{self.topics.base}/#", 1)
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._on_message
        self.client.connect(LOOPBACK, port)
        self.client.reconnect_delay_set(1, 1)
        self.client.loop_start()
        assert self._subscribed.wait(WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_message(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic.startswith(f"{self.topics.base}/receipt/"):
            got = receipt.parse(payload)
            assert message.topic == self.topics.receipt(got.block)
            self.receipts.setdefault(got.block, []).append(got)
        elif message.topic.startswith(f"{self.topics.base}/block/"):
            self.blocks[message.topic] = payload
        elif message.topic != self.topics.submit:
            self.retained[message.topic] = payload
            if message.topic == self.topics.milestone:
                self.milestones.append(payload)

    def tips(self) -> list[bytes]:
        """What to build on, once the ledger has said so."""
        raw = until(lambda: self.retained.get(self.topics.tips), "tips")
        tips = cbor.decode(raw)
        assert isinstance(tips, list)
        return [tip for tip in tips if isinstance(tip, bytes)]

    def parents(self, source: random.Random | None = None) -> list[bytes]:
        """One or two of the tips."""
        tips = self.tips()
        source = source or random.Random(0)
        return source.sample(tips, min(2, len(tips)))

    def submit(self, raw: bytes) -> bytes:
        """Hand bytes to the broker; the id under which they are answered."""
        self.client.publish(self.topics.submit, raw, qos=1)
        return block.block_id(raw)

    def answer(
        self, name: bytes, *states: State, after: int = 0, timeout_s: float = WAIT_S
    ) -> Receipt:
        """The first receipt of one of `states`, not counting the first `after` receipts."""

        def found() -> Receipt | None:
            got = self.receipts.get(name, [])[after:]
            return next((one for one in got if one.state in states), None)

        answer = until(found, f"a receipt {states} for {name.hex()[:8]}", timeout_s)
        assert isinstance(answer, Receipt)
        return answer
