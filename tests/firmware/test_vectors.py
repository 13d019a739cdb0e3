"""The vectors that CPython and the browser run, on the board's own code.

If this fails, a board signs other bytes than the specification says, or believes what it must refuse.
"""

from __future__ import annotations

import subprocess

import pytest

from firmware import build as firmware_build
from tests import parts

SCRIPT = parts.ROOT / "tests" / "firmware" / "on_board" / "vectors.py"
VECTORS = parts.ROOT / "tests" / "vectors"
ARCHITECTURES = {"64": "x64", "32": "armv7emdp"}


@pytest.mark.parametrize("bits", ["64", "32"])
def test_the_boards_code_agrees_with_the_vectors(bits: str) -> None:
    """Same bytes, same ids, same refusals as everywhere else, in the heap of an ESP32."""
    name = ARCHITECTURES[bits]
    paths = f"{firmware_build.build(name, whole=False)}:{firmware_build.build_rom(name)}"
    argv = parts.micropython64() if bits == "64" else parts.micropython32()
    heap = "111k" if bits == "32" else "222k"  # pointers of twice the size
    done = subprocess.run(
        [*argv, "-X", f"heapsize={heap}", str(SCRIPT), paths, str(VECTORS)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("FAIL")] == []
    counts = {name: int(count) for name, count in map(str.split, lines)}
    assert counts["records"] >= 15
    assert counts["messages"] >= 3
    assert counts["refused"] >= 50
