"""Memory over time: an agent that grows dies in the field, months later, at night."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.firmware.bench import GatewayDouble, Signer, VirtualBoard, board_command
from tests.parts import ROOT, Broker

HEAP = "111k"
RECORDS = 480
EVERY = 20  # records between acknowledgements: the emulated board verifies slowly


class Gateway(GatewayDouble):
    """Acknowledges now and then."""

    def acknowledge(self, **changes: Any) -> None:
        if len(self.records) % EVERY == 0:
            super().acknowledge(**changes)


def test_no_growth(tmp_path: Path, broker: Broker, micropython32: list[str]) -> None:
    """Hundreds of records in the heap of an ESP32: free memory must stay where it is."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board", bits=32) as board:
        board.info()  # lays out the compiled agent
    names = ("rom-armv7emdp", "armv7emdp", "armv7emdp/lib")
    compiled = [ROOT / "build" / "firmware" / name for name in names]
    command = board_command(
        [*micropython32, "-X", f"heapsize={HEAP}"],
        "long_run.py",
        str(RECORDS),
        str(broker.port),
        owner.public.hex(),
        owner.grant(signer).hex(),
        paths=compiled,
    )
    flash = tmp_path / "board" / "flash"
    with subprocess.Popen(command, cwd=flash, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        free = {}
        gateway = None
        try:
            for line in process.stdout:
                word, *rest = line.split()
                if word == "key":
                    gateway = Gateway(broker.port, bytes.fromhex(rest[0]), signer)
                    gateway.automatic = True
                elif word == "free":
                    free[int(rest[0])] = int(rest[1])
        finally:
            process.kill()
            if gateway is not None:
                gateway.__exit__()
    print(f"free heap by seq, {HEAP}: {free}")
    assert max(free) >= RECORDS
    early = min(value for seq, value in free.items() if seq < RECORDS // 3)
    late = min(value for seq, value in free.items() if seq > RECORDS * 2 // 3)
    assert late > early - 1024, free
