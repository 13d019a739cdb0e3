"""Memory over time: an agent that grows dies in the field, months later, at night."""

from __future__ import annotations

import pytest

from tests.firmware.day import live

RECORDS = 500
PATIENCE_S = 500


@pytest.mark.timeout(600)
def test_no_growth() -> None:
    """Hundreds of records in the smallest heap: free memory must stay where it is (`make bench` runs a whole day)."""
    free = live(RECORDS, PATIENCE_S)
    print(f"free heap by seq: {free}")
    first, last = min(free), max(free)
    assert last >= RECORDS
    assert free[last] > free[first] - 512, free
