"""A script of tests/firmware/on_board/ in MicroPython with 64-bit words, and the numbers that it prints."""

from __future__ import annotations

import subprocess

from tests.parts import ROOT, micropython64

FOLDER = ROOT / "tests" / "firmware" / "on_board"
TIME_LIMIT_S = 120


def numbers(script: str, heap: str, *arguments: str) -> dict[str, int]:
    """What the script prints: `name value` on each line. heap: as MicroPython's -X heapsize."""
    done = subprocess.run(
        [*micropython64(), "-X", f"heapsize={heap}", str(FOLDER / script), *arguments],
        capture_output=True,
        check=True,
        text=True,
        timeout=TIME_LIMIT_S,
    )
    return {name: int(value) for name, value in map(str.split, done.stdout.splitlines())}
