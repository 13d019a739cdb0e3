"""The board: its signer, its records, and the heap that an ESP32 has left."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import firmware_native, firmware_signer, flash_wear
from bench.figure import Figure
from bench.on_board import numbers
from firmware import build as firmware_build
from tallystick import record
from tallystick.body import Readings
from tallystick.keys import PrivateKey
from tests.firmware.bench import GatewayDouble, Signer, VirtualBoard
from tests.firmware.day import AGENT_KIB, RECORDS_A_DAY, chip_bytes, live
from tests.parts import Broker

SIZE_BARS = {1: 150, 10: 180, 60: 320}  # bytes of a complete record with two channels
BUILD_MS_BAR = 3.0
BUILD_BYTES_BAR = 1.2 * 1024  # 1,228.8
FREE_BAR = 30 * 1024
HEAP = "111k"
ROUNDS = 200
DAY_LIMIT_S = 3600.0
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
    paths = f"{firmware_build.build('x64', whole=False)}:{firmware_build.build_rom('x64')}"
    found = numbers("record_cost.py", HEAP, paths, str(ROUNDS))
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


def _told(seq: int) -> None:
    """Say how far the day is, to whoever waits."""
    if sys.stderr.isatty():
        end = "\n" if seq >= RECORDS_A_DAY else "\r"
        print(f"a day in {AGENT_KIB} KiB: {seq} of {RECORDS_A_DAY}", end=end, file=sys.stderr)


def day() -> list[Figure]:
    """A day of simulated work in 64 KiB, connected: what the heap has lost between its first quarter and its end."""
    started = time.monotonic()
    free = live(RECORDS_A_DAY, DAY_LIMIT_S, _told)
    record_ms = (time.monotonic() - started) * 1000 / RECORDS_A_DAY
    settled = max(seq for seq in free if seq <= RECORDS_A_DAY // 4)
    heap = f"{AGENT_KIB} KiB: free after {RECORDS_A_DAY} records"
    return [
        Figure(f"simulated chip, within the {AGENT_KIB} KiB", chip_bytes(), "bytes", "", True),
        Figure(heap, free[max(free)], "bytes", "", True),
        Figure.at_most(
            f"{AGENT_KIB} KiB: growth in a day",
            free[settled] - free[max(free)],
            "bytes",
            GROWTH_BAR,
        ),
        Figure("a record of that day, emulated, here", round(record_ms, 1), "ms", "", True),
    ]


def figures() -> Iterator[Figure]:
    """All of the board's figures, as they come: the last ones take some ten minutes."""
    yield from firmware_signer.figures()
    yield from firmware_native.figures()
    yield from sizes()
    yield from build_cost()
    yield from flash_wear.figures()
    yield from free_heap()
    yield from day()
