"""Proofs from a bridge on the page, which asks no network.

If this fails, the page calls good what no other ledger was asked about, or cannot read a proof that others can.
"""

from __future__ import annotations

from tallystick import verify
from tallystick.verdict import Status
from tests.host_tools.page.questions import answers, asked
from tests.tallystick.test_transaction import Site


def test_a_proof_from_a_bridge() -> None:
    """Trusted as a ledger it is as good as ever; as a bridge it stays open, for there is nobody to ask."""
    site = Site()
    whole, cut = site.proof(site.sent), site.proof(None)
    bridged, alone = site.policy(), site.world.policy
    cases = [(whole, alone), (whole, bridged), (cut, bridged)]
    verdicts = [verify.verify(data, policy) for data, policy in cases]
    assert [Status.VERIFIED, Status.UNDECIDED, Status.UNDECIDED] == [one.status for one in verdicts]
    questions = [
        asked(data, policy, verdict, str(number))
        for number, ((data, policy), verdict) in enumerate(zip(cases, verdicts, strict=True))
    ]
    found = answers(questions)
    assert ["VERIFIED", "UNDECIDED", "UNDECIDED"] == [one["status"] for one in found]
    checks = [dict(one["checks"]) for one in found]
    assert [None, "undecided", "undecided"] == [one.get("ledger.transaction") for one in checks]
    assert found[0]["window"] == [None, verdicts[0].not_after]
    assert [None, None] == found[1]["window"]
