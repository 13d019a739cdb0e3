"""The board: its signer, its records, and the heap that an ESP32 has left."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench import firmware_signer, flash_wear
from bench.figure import Figure
from firmware import build as firmware_build
from tallystick import record
from tallystick.body import Readings
from tallystick.keys import PrivateKey
from tests.firmware.bench import GatewayDouble, Signer, VirtualBoard
from tests.firmware.day import RECORDS_A_DAY, chip_bytes, live
from tests.parts import ROOT, Broker, micropython64

SIZE_BARS = {1: 150, 10: 180, 60: 320}  # bytes of a complete record with two channels
BUILD_MS_BAR = 3.0
BUILD_BYTES_BAR = 1.2 * 1024  # 1,228.8
FREE_BAR = 30 * 1024
HEAP = "111k"
ROUNDS = 200
TIME_LIMIT_S = 60
DAY_LIMIT_S = 1800.0
GROWTH_BAR = 512.0  # the journal's list of segments grows until the journal is full


def sizes() -> list[Figure]:
    """Complete records on the specification's size vector."""
    key = PrivateKey.from_seed(bytes(range(32)))
    found = []
    for count, bar in SIZE_BARS.items():
        column = tuple(20_000 + (i % 2) * 23 for i in range(count))
        body = Readings(99_000, 10 if count > 1 else 0, (column, column))
        raw = record.sign(key, 100_000, bytes(32), 1_795_242_134, body)
        name = f"record of {count} reading(s), two channels"
        found.append(Figure.at_most(name, len(raw), "bytes", bar))
    return found


def build_cost() -> list[Figure]:
    """Building one record on the 64-bit unix port, the signature left out."""
    script = ROOT / "tests" / "firmware" / "on_board" / "record_cost.py"
    paths = f"{firmware_build.build('x64')}:{firmware_build.build_rom('x64')}"
    done = subprocess.run(
        [*micropython64(), "-X", f"heapsize={HEAP}", str(script), paths, str(ROUNDS)],
        capture_output=True,
        check=True,
        text=True,
        timeout=TIME_LIMIT_S,
    )
    found = {name: int(value) for name, value in map(str.split, done.stdout.splitlines())}
    return [
        Figure.at_most("build a record, sign excluded", found["us"] / 1000, "ms", BUILD_MS_BAR),
        Figure.at_most(
            "heap taken by that, garbage included", found["bytes"], "bytes", BUILD_BYTES_BAR
        ),
    ]


def free_heap() -> list[Figure]:
    """What the 32-bit board has left of 111 KiB while it is connected and queues."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        owner, signer = Signer(), Signer()
        with (
            Broker(folder / "broker") as broker,
            VirtualBoard(folder / "board", bits=32, heap=HEAP) as board,
        ):
            public = board.provision(owner, signer, broker.port, batch=1, interval_ms=100)
            with GatewayDouble(broker.port, public, signer) as gateway:
                board.restart()
                gateway.wait(3)
                gateway.acknowledge()
                gateway.wait(12)
                status = board.status()
    if not status["connected"] or not status["queue"]:
        print("error: the board is not connected and queueing", file=sys.stderr)
    return [Figure.at_least("32-bit board, 111 KiB: free heap", status["free"], "bytes", FREE_BAR)]


def day() -> list[Figure]:
    """A day of simulated work, connected: what the heap has lost between its first quarter and its end."""
    free = live(RECORDS_A_DAY, DAY_LIMIT_S)
    settled = max(seq for seq in free if seq <= RECORDS_A_DAY // 4)
    heap = f"64 KiB: free after {RECORDS_A_DAY} records"
    return [
        Figure("simulated chip, beside the 64 KiB", chip_bytes(), "bytes", "", True),
        Figure(heap, free[max(free)], "bytes", "", True),
        Figure.at_most(
            "64 KiB: growth in a day", free[settled] - free[max(free)], "bytes", GROWTH_BAR
        ),
    ]


def figures() -> list[Figure]:
    """All of the board's figures."""
    return [
        *firmware_signer.figures(),
        *sizes(),
        *build_cost(),
        *flash_wear.figures(),
        *free_heap(),
        *day(),
    ]
