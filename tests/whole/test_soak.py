"""Some minutes of a board's hard week (`make soak` runs an hour of it).

If this fails, a board that is left alone in the field loses readings without a word.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.soak import soak

SECONDS = 240.0
SEED = 7


@pytest.mark.timeout(600)
def test_every_reading_is_verified_or_named(tmp_path: Path) -> None:
    """After four minutes of trouble, nothing that a board signed is missing without a reason."""
    out = soak(tmp_path / "site", SECONDS, SEED, print)
    assert out.bad == []
    assert out.readings > 500
    assert sum(out.troubles.values()) >= 15
