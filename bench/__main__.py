"""`make bench [ROOM=firmware|gateway|ledger|laptop]`: one line a figure.

name, value, bar, `ok` or `short`; exit status 1 if any falls short, 2 for a room that is not
there. Times are ratios to something bare that runs in the same process, because machines differ.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable

from bench.figure import Figure

ROOMS = ("firmware", "gateway", "ledger", "laptop")


def main(rooms: list[str]) -> int:
    """Measure the rooms named, all without a name."""
    unknown = sorted(set(rooms) - set(ROOMS))
    if unknown:
        print(f"error: no room {unknown[0]!r}\nhint: one of {' '.join(ROOMS)}", file=sys.stderr)
        return 2
    short = 0
    for room in rooms or ROOMS:
        found: Iterable[Figure] = importlib.import_module(f"bench.{room}").figures()
        for figure in found:
            short += not figure.ok
            state = "ok" if figure.ok else "short"
            state = state if figure.bar else "-"
            value = f"{figure.value:g} {figure.unit}"
            print(f"{room:9} {figure.name:44} {value:34} {figure.bar:32} {state}", flush=True)
    return 1 if short else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
