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
    assert [one["said"]["checks"] for one in questions] == [one["checks"] for one in found]
    assert ["ledger.transaction", "skipped"] in found[1]["checks"]
    assert found[0]["window"] == [None, verdicts[0].not_after]
    assert [None, None] == found[1]["window"]


def test_a_transaction_of_somebody_else_is_found_out_offline() -> None:
    """A forged transaction would be called open instead of forged."""
    site = Site()
    data = site.proof(site.sent)
    raw = site.sent.raw
    forged = data.replace(raw, raw[:-1] + bytes([raw[-1] ^ 1]), 1)
    verdict = verify.verify(forged, site.policy())
    (found,) = answers([asked(forged, site.policy(), verdict, "forged")])
    assert "TAMPERED" == str(verdict.status) == found["status"]
