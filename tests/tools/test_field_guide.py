"""The field guide has a line for every verdict and every code."""

from __future__ import annotations

import pytest

from tallystick.verdict import Outcome, Status
from tallystick_host import explanations
from tools import field_guide


def test_it_is_up_to_date() -> None:
    """The page and `--explain` would say different things."""
    assert 0 == field_guide.main(["--check"])


def test_a_stale_page_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above would pass whatever the page says."""
    monkeypatch.setitem(explanations.VERDICTS, "VERIFIED", ("fine", "nothing"))
    assert 1 == field_guide.main(["--check"])


def test_every_verdict_and_every_result_is_there() -> None:
    """Somebody would meet a word of which nothing says what to do."""
    assert {status.value for status in Status} == set(explanations.VERDICTS)
    words = {outcome.value for outcome in Outcome}
    for code, (asks, results) in explanations.CHECKS.items():
        assert asks.endswith("?") or "?" in asks, code
        assert results, code
        assert set(results) <= words, code
        assert all(means and do for means, do in results.values()), code
