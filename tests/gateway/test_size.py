"""The log with a million records: what must not grow with it. `make size` measures ten million.

If this fails, a gateway becomes slower or larger with every record that it has taken in.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gateway_size import Growing, proof_ms
from tallystick_gateway.log import MARK_LEAVES, Log
from tallystick_gateway.store import Store

LEAVES = 1_000_000


@pytest.mark.timeout(900)
def test_a_million_records(tmp_path: Path) -> None:
    """Times are a processor's, and have room for a machine that is busy with something else."""
    grown = Growing(tmp_path / "gateway", LEAVES)
    grown.run()

    assert grown.late.processor_in_log < 2 * grown.early.processor_in_log
    assert grown.late.processor < 2.5 * grown.early.processor
    assert grown.memory_mb < 64
    assert proof_ms(grown) < 20
    asked: list[int] = []
    store = Store.read(grown.folder.database)
    size = store.size()

    def entries(start: int, end: int) -> list[bytes]:
        asked.append(start)
        return store.entries(start, end)

    again = Log.open(grown.folder.log, entries, size)

    assert LEAVES <= size
    assert grown.log.root() == again.root()
    assert size - min(asked) <= MARK_LEAVES + 512
    held = sum(map(len, again._edge)) + len(again._stack)
    assert held <= 256 * 3 + 20  # a tile for each level, a subtree for each binary digit
    store.close()
