"""The short form of the two long runs: `make test-faults` and `make fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.faults import Faults
from tools.fuzz import fuzz


@pytest.mark.timeout(400)
def test_kills_full_disks_and_torn_writes_under_load(tmp_path: Path) -> None:
    """Whatever happens to the gateway, what it acknowledged is there once and in order, and it signs one history."""
    run = Faults(tmp_path, seed=3, kills=10)

    facts = run.run(lambda _text: None)

    assert 50 * 60 == facts["records"]
    assert facts["faults"]["kill"] >= 10
    assert facts["checkpoints"] > 3


@pytest.mark.timeout(400)
def test_strangers_at_the_door(tmp_path: Path) -> None:
    """Nobody without a key stops the gateway, fills its memory, or gets a leaf into the log."""
    facts = fuzz(tmp_path, seed=5, boards=20, records=60, rate=300.0)

    assert facts["strange_messages"] > 100
    assert facts["counters"]["rejected"] > 50
    assert 20 * 60 == facts["counters"]["admitted"]
