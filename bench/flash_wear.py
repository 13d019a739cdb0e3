"""What 200-byte records cost the board's flash, on littlefs with the agent's own journal.

Counted on the simulated flash, to the byte and the same on every machine. A flash wears out by erases: 240 blocks of
100,000 erases each are what a small ESP32 has to spend.
"""

from __future__ import annotations

from bench.figure import Figure
from bench.on_board import numbers
from tests.parts import ROOT

PATHS = (ROOT / "firmware", ROOT / "firmware" / "virtual" / "modules")
RECORDS = 500

KB = 1024
PROGRAMMED_BAR_KB = 2.2
ERASES_BAR = 1.2


def measure(records: int = RECORDS) -> dict[str, int]:
    """What `flash_wear.py` prints."""
    paths = ":".join(str(path) for path in PATHS)
    return numbers("flash_wear.py", "64m", paths, str(records))


def figures() -> list[Figure]:
    """All figures of the flash."""
    found = measure()
    records = found["records"]
    programmed = round(found["programmed"] / records / KB, 3)
    erases = round(found["erases"] / records, 3)
    return [
        Figure.at_most("flash written for a 200-byte record", programmed, "KB", PROGRAMMED_BAR_KB),
        Figure.at_most("flash erased for a 200-byte record", erases, "blocks", ERASES_BAR),
        Figure("NVS written for a record", round(found["nvs"] / records), "bytes", "", True),
        Figure("mean record", round(found["bytes"] / records, 1), "bytes", "", True),
    ]
