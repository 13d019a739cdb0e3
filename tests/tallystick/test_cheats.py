"""The shared corpus of proofs that cheat: each is caught, by the check that the corpus names."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tallystick import policy, verify
from tallystick.verdict import Outcome, Status
from tallystick.verification.tail import Head
from tests.tallystick.test_vectors import cases
from tools.cheats import FORMAT
from tools.parts import ROOT

PAGE = (ROOT / "docs" / "format.md").read_text()
CASES: list[dict[str, Any]] = [one.values[0] for one in cases("cheats")]
# what only forks between files, an adoption that arrives late, lists beside the file, or a node of another ledger can
# show; the last has tests of its own (test_transaction.py, and the page's test_bridge.py)
ELSEWHERE = {"chain.disowned", "credential.status", "ledger.transaction"}


@pytest.mark.parametrize("case", cases("cheats"))
def test_cheat(case: dict[str, Any]) -> None:
    """Somebody would get away with it, or an honest proof would be called a forgery."""
    heads = [
        Head(one["seq"], bytes.fromhex(one["id"]), "elsewhere") for one in case.get("heads", ())
    ]
    trusted = policy.from_table(case["policy"])
    raw = bytes.fromhex(case["bytes"])
    verdict = verify.verify(raw, trusted, heads=heads, now=case.get("now"))
    assert case["verdict"] == verdict.status.value
    check = verdict.check(case["code"])
    assert check is not None
    assert case["result"] == check.result.value
    if "error" in case:
        assert case["error"] == check.detail.partition(":")[0]


def test_names_are_unique() -> None:
    """Two verifiers could speak of different cases by one name."""
    names = Counter((one["cheat"], one["name"]) for one in CASES)
    assert [] == [name for name, count in names.items() if count > 1]


def test_every_check_is_cheated_on() -> None:
    """A check that never fails in the corpus could be missing from a verifier, and nobody would notice."""
    listed = re.search(r"\*\*Checks\*\* of a verdict are those of section 12: `([^`]+)`", PAGE)
    assert listed is not None
    codes = set(listed[1].split())
    failing = {one["code"] for one in CASES if one["result"] not in (Outcome.OK, Outcome.SKIPPED)}
    assert codes - ELSEWHERE == failing
    assert {one.value for one in Status} == {one["verdict"] for one in CASES}


def test_every_field_of_a_proof_is_malformed_once() -> None:
    """A form that nobody has broken is one that nobody checks."""
    errors = {one["error"] for one in CASES if one["code"] == FORMAT and "error" in one}
    nouns = r"(?:proof|record|cose|cbor|milestone|confirmed|checkpoint|note|credential|field)"
    listed = set(re.findall(rf"\b{nouns}\.[a-z][a-z-]+", PAGE.partition("## 15. ")[2]))
    never_in_a_proof = {
        *("proof.too-long",),
        *("note.unsigned note.vkey note.key-name note.key-type".split()),
        *("record.signature record.open record.open-length credential.status".split()),
        *("checkpoint.signature milestone.none milestone.ledger field.time proof.format".split()),
        # what a ledger says of another one's history, and of a checkpoint that it is asked for
        *("milestone.fork milestone.previous milestone.order milestone.root".split()),
        *("checkpoint.fork checkpoint.not-cosigned".split()),
        *("proof.transaction",),  # test_transaction.py
    }
    assert set() == {one for one in listed if one not in errors} - never_in_a_proof
