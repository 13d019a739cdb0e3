"""The native signer against its bars.

On x64 beside the one in Python and beside itself called from C, in one process; for the ESP32 in instructions, counted
by the simulator of its processor, which knows nothing of caches and wait states.
"""

from __future__ import annotations

from bench.figure import Figure
from bench.on_board import numbers
from firmware import build as firmware_build
from tools import native
from tools.xtensa_board import Board

HEAP = "111k"
ROUNDS = 100

FASTER_BAR = 12.0
FROM_C_BAR = 2.0
INSTRUCTIONS_BAR = 1.8
HEAP_BAR_KB = 30.0
KB = 1024


def instructions() -> int:
    """Of one signature of 100 bytes on an ESP32, the key expanded."""
    board = Board(native.build(native.ARCHITECTURES["xtensawin"]))
    key = bytearray(bytes(range(32)) + bytes(96))
    board.call("expand", key)
    before = board.instructions
    board.call("sign", key, bytes(100))
    return board.instructions - before


def measure(rounds: int = ROUNDS) -> dict[str, int]:
    """What `native_times.py` prints."""
    x64 = native.ARCHITECTURES["x64"]
    native.build(x64)
    folder = firmware_build.build("x64", native=True)
    repeat = native.build(x64, repeat=True).parent
    return numbers("native_times.py", HEAP, str(folder), str(repeat), str(rounds))


def figures() -> list[Figure]:
    """All figures of the native signer.

    Its code lies beside the heap on most chips, and is counted all the same: as the largest file that a board loads."""
    native.prepare()
    found = measure()
    code = native.build(native.ARCHITECTURES["xtensawin"]).stat().st_size
    return [
        Figure.at_least(
            "native signer, x64", round(found["plain"] / found["native"], 1), "x pure", FASTER_BAR
        ),
        Figure.at_most(
            "the same", round(found["native"] / found["from_c"], 3), "x called from C", FROM_C_BAR
        ),
        Figure.at_most(
            "heap of the native signer, code included",
            round((found["heap"] + code) / KB, 1),
            "KB",
            HEAP_BAR_KB,
        ),
        Figure.at_most(
            "native signer, ESP32 (simulated)",
            round(instructions() / 1e6, 3),
            "million instructions",
            INSTRUCTIONS_BAR,
        ),
    ]
