"""Memory over time: an agent that grows dies in the field, months later, at night."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.firmware.bench import GatewayDouble, Signer, VirtualBoard, board_command
from tests.parts import ROOT, Broker

HEAP = "64k"


def test_no_growth_in_a_small_heap(
    tmp_path: Path, broker: Broker, micropython32: list[str]
) -> None:
    """2,000 records in the heap that an ESP32 starts with: free memory must stay where it is."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board", bits=32) as board:
        board.info()  # lays out the compiled agent
    compiled = [ROOT / "build" / "firmware" / name for name in ("rom-armv7emdp", "armv7emdp")]
    command = board_command(
        [*micropython32, "-X", f"heapsize={HEAP}"],
        "long_run.py",
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
                    gateway = GatewayDouble(broker.port, bytes.fromhex(rest[0]), signer)
                    gateway.automatic = True
                elif word == "free":
                    free[int(rest[0])] = int(rest[1])
        finally:
            process.kill()
            if gateway is not None:
                gateway.__exit__()
    print(f"free heap by seq, {HEAP}: {free}")
    assert max(free) >= 2000
    early = min(value for seq, value in free.items() if seq < 600)
    late = min(value for seq, value in free.items() if seq > 1200)
    assert late > early - 1024, free
