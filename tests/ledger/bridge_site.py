"""A bridge as a process of its own before a real Conflux node, for the tests of this folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tallystick import topics
from tallystick.note import VerifierKey
from tallystick.settlement import Executed, Seen
from tallystick.transaction import Transaction
from tests.ledger.site import until
from tests.parts import LOOPBACK
from tools.conflux import CHAIN_ID, FUNDED, call

__all__ = ["Bridge", "look"]

START_S = 120.0


class Bridge:
    """`tally-ledger bridge` over one folder; `account` is one of the network's funded ones."""

    def __init__(self, folder: Path, port: int, *, account: int = 0) -> None:
        self.folder = folder
        self.port = port
        self.log = folder.with_suffix(".log")
        self.process: subprocess.Popen[str] | None = None
        key = folder.with_suffix(".secret")
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(FUNDED[account])
        done = self.command("init", "--chain", str(CHAIN_ID), "--key-file", str(key))
        assert 0 == done.returncode, done.stderr
        self.line = done.stdout.strip()
        self.name, self.account = self.line.split()
        self.vkey = VerifierKey.parse(self.name)
        self.id = bytes.fromhex(self.vkey.name.rpartition("/")[2])
        self.topics = topics.Ledger(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run one `bridge` command over the folder."""
        first, *rest = args
        return subprocess.run(
            [
                *(sys.executable, "-m", "tallystick_ledger", "bridge", first),
                *("--dir", str(self.folder), *rest),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def allow(self, *lines: str) -> None:
        """Pay for these gateways."""
        for line in lines:
            done = self.command("allow", line)
            assert 0 == done.returncode, done.stderr

    def start(
        self, url: str, *options: str, budget: str = "1000", confirm_at: str = "safe"
    ) -> None:
        """Start the service before the node at `url`."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tallystick_ledger", "bridge", "evm"),
                    *("--dir", str(self.folder), "--broker", f"{LOOPBACK}:{self.port}"),
                    *("--rpc", url, "--budget", budget, "--confirm-at", confirm_at),
                    *("--interval", "0.3", *options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
            )
        if not self.events("connected"):
            # its libraries take seconds to load, on a busy machine a minute
            until(lambda: self.events("connected"), "the bridge is at the broker", START_S)

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
        status = self.process.wait(20)
        self.process = None
        return status

    def status(self) -> dict[str, Any]:
        """What `bridge status --json` says."""
        done = self.command("status", "--json")
        assert 0 == done.returncode, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of its log with this event."""
        if not self.log.exists():
            return []
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return [one for one in found if one["event"] == name]


def look(url: str, sent: Transaction) -> Seen:
    """What a node says of a transaction, asked without any code of ours."""
    name = f"0x{sent.hash.hex()}"
    known = call(url, "eth_getTransactionByHash", name)
    taken = call(url, "eth_getTransactionReceipt", name)
    heights = [
        int(call(url, "eth_getBlockByNumber", tag, False)["number"], 16)
        for tag in ("latest", "safe", "finalized")
    ]
    executed = None
    if taken is not None:
        block = call(url, "eth_getBlockByNumber", taken["blockNumber"], False)
        assert block["hash"] == taken["blockHash"]
        assert known["input"] == f"0x{sent.data.hex()}"
        executed = Executed(
            int(taken["blockNumber"], 16),
            bytes.fromhex(taken["blockHash"][2:]),
            int(block["timestamp"], 16),
            taken["status"] == "0x1",
        )
    chain = int(call(url, "eth_chainId"), 16)
    return Seen(chain, known is not None, executed, *heights)
