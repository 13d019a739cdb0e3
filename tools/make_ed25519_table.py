"""Write the board's table of multiples of the Ed25519 base point.

    python -m tools.make_ed25519_table           writes firmware/tally/ed25519_table.py
    python -m tools.make_ed25519_table --check   exit status 1 if that file is not up to date

The table serves the signed comb of `firmware/tally/ed25519.py`: 252 digits of value +1 or -1, of
which digit i weighs 2^i, in a comb of 6 teeth, 42 digits apart. Entry v is

    (2^210 + sum of +-2^(42i) for i = 0..4, plus where bit i of v is set) * B

and the last one is 2^210 * B: 42 doublings make it the digit of weight 2^252. A second comb would save half of the
doublings, a quarter of the time, for another 3 KB of heap.
An entry is (y + x, y - x, 2dxy) mod p, 32 bytes each, little-endian; the last has no 2dxy, since
nothing is added before it.
"""

from __future__ import annotations

import sys
from pathlib import Path

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
BASE = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
)
TEETH, SPACING = 6, 42

Point = tuple[int, int]

TABLE = Path(__file__).resolve().parent.parent / "firmware" / "tally" / "ed25519_table.py"
HEAD = (
    '"""Multiples of the Ed25519 base point, made by `python -m tools.make_ed25519_table`."""\n\n'
)


def add(a: Point, b: Point) -> Point:
    """The sum of two affine points (RFC 8032, 5.1.4)."""
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + y1 * x2) * pow(1 + product, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P
    return x, y


def table() -> bytes:
    """All 33 entries: 3,136 bytes."""
    powers = [BASE]  # powers[i] = 2^i * B
    while len(powers) <= SPACING * TEETH:
        powers.append(add(powers[-1], powers[-1]))
    points: list[Point] = []
    teeth = [powers[SPACING * i] for i in range(TEETH)]
    for v in range(1 << (TEETH - 1)):
        total = teeth[-1]
        for i, (x, y) in enumerate(teeth[:-1]):
            total = add(total, (x, y) if v >> i & 1 else (P - x, y))
        points.append(total)
    points.append(teeth[-1])
    data = b"".join(
        value.to_bytes(32, "little")
        for x, y in points
        for value in ((y + x) % P, (y - x) % P, 2 * D * x * y % P)
    )
    return data[:-32]


def source() -> str:
    """The text of the generated module."""
    data = table()
    lines = [
        '    b"' + "".join(f"\\x{byte:02x}" for byte in data[at : at + 16]) + '"\n'
        for at in range(0, len(data), 16)
    ]
    return HEAD + "TABLE = (\n" + "".join(lines) + ")\n"


def main(arguments: list[str]) -> int:
    """Write the module, or with --check compare it."""
    text = source()
    if arguments == ["--check"]:
        if TABLE.exists() and TABLE.read_text(encoding="ascii") == text:
            return 0
        print(
            f'"{TABLE.name}" is not up to date\nhint: python -m tools.make_ed25519_table',
            file=sys.stderr,
        )
        return 1
    TABLE.write_text(text, encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
