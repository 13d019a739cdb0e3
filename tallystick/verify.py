"""Verification of a proof, step by step (docs/format.md, section 12; the numbers in the comments
are its steps).

It needs the file and a policy and nothing else: no network, no clock, no word of the gateway's. A
check that could not be made says so; nothing is passed over in silence. Where the policy wants an
anchor on another ledger, somebody else has asked that ledger (`seen`), or that check is skipped.

>>> verdict = verify(Path("reading.tally").read_bytes(), policy)         # doctest: +SKIP
>>> verdict.status                                                        # doctest: +SKIP
<Status.VERIFIED: 'VERIFIED'>
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tallystick import proof
from tallystick.errors import TallystickError
from tallystick.policy import Policy
from tallystick.proof import Proof
from tallystick.verdict import Check, Outcome, Verdict
from tallystick.verification import (
    bridge,
    device,
    ledger,
    links,
    log,
    records,
    standing,
    window,
)
from tallystick.verification.records import SignatureCheck, check_signatures
from tallystick.verification.state import Verification

if TYPE_CHECKING:
    from tallystick.jcs import Object
    from tallystick.settlement import Seen
    from tallystick.verification.tail import Head

__all__ = ["verify"]


def verify(
    data: bytes | Proof,
    policy: Policy,
    lists: Sequence[Object] = (),
    *,
    heads: Sequence[Head] = (),
    now: int | None = None,
    seen: Mapping[bytes, Seen] | None = None,
    check: SignatureCheck = check_signatures,
) -> Verdict:
    """The verdict on a proof file (its bytes, or parsed) under `policy`. Never raises for what is
    in the file, nor for what is in `lists`: status lists of the issuer that are at hand (JSON).

    `heads`: later records of the device that the caller knows of (`chain.tail`). `now`: Unix seconds, for a policy
    that limits the age of the anchor. `seen`: what nodes of other ledgers say of transactions, by transaction hash.
    `check` verifies many signatures, perhaps on other cores.
    """
    # 1. the form
    try:
        parsed = data if isinstance(data, Proof) else proof.parse(data)
    except TallystickError as error:
        return Verdict((Check("proof.format", Outcome.UNDECIDED, str(error)),))
    v = Verification(parsed, policy, lists, now)
    if parsed.credential is None:
        v.add("device.credential", Outcome.UNDECIDED, "no credential in the file")
        return v.verdict()
    bridge.look(v, seen or {})
    first_key = parsed.credential.device_key
    # 2. and 3. whose record is it, and with which keys that device signs
    device.credential(v)
    if device.keys(v, first_key):
        # 4. and 5. signatures, and what the readings mean
        records.signatures(v, check)
        records.opens(v)
        # 6. the chain
        links.links(v, first_key)
        links.forks(v)
        if heads:
            from tallystick.verification import tail

            tail.tail(v, heads)
    # 7. and 8. the log
    log.inclusion(v)
    log.signature(v)
    # 9. the ledger
    ledger.anchor(v)
    ledger.witnesses(v)
    bridge.transaction(v)
    # 10. the standing of the device
    standing.statements(v, first_key)
    standing.status_lists(v)
    # 11. between which two moments
    window.window(v)
    # what the policy asks for besides
    if policy.asks_more:
        from tallystick.verification import asked

        asked.board(v)
        asked.agents(v)
        asked.anchor_age(v)
    return v.verdict()
