"""The page's modules against the library: the same questions, the same answers.

If these fail, a colleague who drops a proof on the page reads another verdict than the engineer who ran
the command.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.host_tools.page.questions import Question, answers
from tests.parts import ROOT

VECTORS = ROOT / "tests" / "vectors"
ASKED = ("proof", "policy", "now", "heads")
NOT_IN_A_PROOF = {"acknowledgement", "command", "challenge", "grant"}


def refused() -> list[dict[str, Any]]:
    """What every implementation refuses, of the objects that a proof holds."""
    return [
        case
        for name in ("refused", "refused_objects")
        for case in json.loads((VECTORS / f"{name}.json").read_text())["cases"]
        if case["object"] not in NOT_IN_A_PROOF
    ]


def test_refuses_what_the_library_refuses_under_the_same_code() -> None:
    cases = refused()
    said = answers({"object": case["object"], "bytes": case["bytes"]} for case in cases)
    assert {case["name"]: case["code"] for case in cases} == {
        case["name"]: one["code"] for case, one in zip(cases, said, strict=True)
    }


@pytest.mark.timeout(600)
def test_gives_every_verdict_that_the_library_gives(recorded: list[Question]) -> None:
    said = answers({name: one[name] for name in ASKED} for one in recorded)
    differences = [
        (one["name"], one["said"], got)
        for one, answer in zip(recorded, said, strict=True)
        if one["said"] != (got := {name: answer[name] for name in one["said"]})
    ]
    assert [] == differences[:5]
    # the questions are worth asking: every verdict is among the answers, and there are many
    statuses = {one["said"]["status"] for one in recorded}
    assert {"VERIFIED", "TAMPERED", "PENDING", "UNTRUSTED", "UNDECIDED"} == statuses
    assert len(recorded) > 1_000
