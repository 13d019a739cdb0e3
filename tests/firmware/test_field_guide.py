"""The table that somebody on a ladder reads: it must be that of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.firmware.bench import FIRMWARE, on_board
from tests.parts import ROOT

ROW = re.compile(r"^\| (?P<light>[^|]+) \| `(?P<state>[^`]+)` \|(?P<lines>[^|]*)\|", re.MULTILINE)
SHORT_MS, LONG_MS, GAP_MS, PAUSE_MS = 150, 700, 250, 1600


def rows() -> dict[str, tuple[str, str]]:
    text = (ROOT / "docs" / "field-guide.md").read_text()
    return {m["state"]: (m["light"], m["lines"]) for m in ROW.finditer(text)}


def test_patterns(tmp_path: Path, micropython64: list[str]) -> None:
    """Whoever counts blinks must find what the board means."""
    patterns = json.loads(on_board(micropython64, "patterns.py", tmp_path))
    table = rows()
    assert set(patterns) == set(table)
    for state, (light, _) in table.items():
        if set(light) <= {"·", "—", " "}:
            blinks = [LONG_MS if mark == "—" else SHORT_MS for mark in light.replace(" ", "")]
            expected = [ms for blink in blinks for ms in (blink, GAP_MS)]
            expected[-1] = PAUSE_MS
            assert expected == patterns[state], state
    assert [60, 4940] == patterns["ready"]
    assert 2 == len([ms for ms in patterns["queueing"][::2] if ms == 60])
    assert 0 == patterns["sleeping"][0]
    shown = [tuple(pattern) for pattern in patterns.values()]
    assert len(shown) == len(set(shown))


def test_states_and_lines_are_in_the_code(tmp_path: Path) -> None:
    """A line in the guide that no board ever prints sends people looking for it."""
    agent = "".join(path.read_text() for path in (FIRMWARE / "tally").glob("*.py"))
    for state, (_, lines) in rows().items():
        assert f'"{state}"' in agent, state
        for line in re.findall(r"`([^`]+)`", lines):
            for piece in line.split("..."):
                assert piece.strip(" :,") in agent, line


def test_light_follows_the_pattern(tmp_path: Path, micropython64: list[str]) -> None:
    """A light that drifts or sticks when the loop was busy says something else than it should."""
    facts = json.loads(on_board(micropython64, "blink.py", tmp_path))
    assert [1] * 15 + [0] * 25 + [1] * 15 + [0] * 160 + [1] * 5 == facts["no network"]
    assert [0] * 15 + [1] * 25 == facts["active low"][:40]
    assert facts["after a long stop"] in (0, 1)
