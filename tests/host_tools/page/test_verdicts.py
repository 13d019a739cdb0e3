"""The page's modules against the library: the same questions, the same answers.

If these fail, a colleague who drops a proof on the page reads another verdict than the engineer who ran
the command.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tallystick import policy, verify
from tallystick_host import sentence
from tallystick_host.explanations import CHECKS
from tests.cold_room import ColdRoom
from tests.host_tools.page.questions import Question, answers
from tests.parts import ROOT

VECTORS = ROOT / "tests" / "vectors"
ASKED = ("proof", "policy", "now", "heads", "lists")
NOT_IN_A_PROOF = {"command", "challenge", "grant", "manifest"}


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
    said = answers({name: one.get(name) for name in ASKED} for one in recorded)
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


def cheats() -> list[dict[str, Any]]:
    """The corpus of proofs that cheat, and honest ones beside them."""
    found: list[dict[str, Any]] = json.loads((VECTORS / "cheats.json").read_text())["cases"]
    return found


def wrong(case: dict[str, Any], status: str, checks: list[list[str]], form: str) -> bool:
    """Is a verdict other than the one that the corpus expects? `form`: the words of proof.format."""
    other = status != case["verdict"] or dict(checks).get(case["code"]) != case["result"]
    return other or ("error" in case and not form.startswith(f"{case['error']}:"))


def test_catches_every_cheat_of_the_corpus_under_its_code() -> None:
    """A way to cheat would be open to who asks the page instead of the command."""
    cases = cheats()
    said = answers(
        {"proof": one["bytes"], **{name: one.get(name) for name in ("policy", "now", "heads")}}
        for one in cases
    )
    assert [] == [
        (case["name"], answer["status"], answer["checks"])
        for case, answer in zip(cases, said, strict=True)
        if wrong(case, answer["status"], answer["checks"], answer["details"][0])
    ]
    assert len(cases) > 300


@pytest.mark.parametrize("sample", ["proof", "shared", "bounded", "pending", "tampered", "forked"])
def test_says_it_in_the_same_words(sample: str) -> None:
    """The page and the command would tell two stories of one proof."""
    room = ColdRoom()
    data: bytes = getattr(room, sample)()
    verdict = verify.verify(data, policy.parse(room.policy.encode()))
    (said,) = answers([{"proof": data.hex(), "policy": room.policy}])
    assert sentence.sentence(verdict) == said["sentence"]
    assert sentence.not_proven(verdict) == said["open"]
    assert [one.detail for one in verdict.checks] == said["details"]
    assert list(verdict.notes) == said["notes"]


def test_has_a_title_for_every_check() -> None:
    """A check would stand on the page as a bare code."""
    titles = json.loads((ROOT / "host_tools" / "page" / "checks.json").read_text())
    assert set(CHECKS) == set(titles)
