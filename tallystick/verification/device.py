"""Steps 2 and 3: whose record is it, and with which keys that device signs."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick import chain, limits
from tallystick.body import Kind, Rotate
from tallystick.chain import KeyPeriod
from tallystick.errors import EvidenceError, TallystickError
from tallystick.keys import PublicKey
from tallystick.proof import Proof
from tallystick.record import Record
from tallystick.verdict import Outcome
from tallystick.verification.state import Verification

__all__ = ["credential", "keys"]


def credential(v: Verification) -> None:
    """2. **device.credential**: is it from an issuer whom the policy trusts, and was it valid?"""
    given = v.proof.credential
    if given is None:
        return
    code = "device.credential"
    issuer = v.policy.issuer(given.issuer)
    if issuer is None:
        v.add(code, Outcome.UNTRUSTED, f"issuer {given.issuer} is not in the policy")
        return
    try:
        given.signed.verify(issuer.key)
    except EvidenceError as error:
        v.add(code, Outcome.FAILED, error.detail)
        return
    if given.role is not None:
        v.add(code, Outcome.UNTRUSTED, f"a credential for a person: {given.role}")
        return
    time = v.anchor_time
    if time is not None and not given.valid_at(time):
        v.add(code, Outcome.UNTRUSTED, "not valid at the time of the anchor")
        return
    v.add(code, Outcome.OK, f"issued by {issuer.name or issuer.did}")


def keys(v: Verification, first: PublicKey) -> bool:
    """3. **device.key**: the rotations from the first key on. False if no key can be relied on."""
    p = v.proof
    walk = (*p.links, *p.records)
    turns = {r.raw: r for r in (*p.rotations, *walk) if r.kind is Kind.ROTATE}
    rotations = sorted(turns.values(), key=lambda one: one.seq)
    named = _named_period(p, first, rotations)
    try:
        v.periods = chain.key_periods(first, rotations, named)
    except TallystickError as error:
        # a rotation by a key that nothing in the file introduces: one before it was left out
        missing = error.code == "signature.key"
        v.add("device.key", Outcome.UNDECIDED if missing else Outcome.FAILED, error.detail)
        return False
    v.keys = {period.key.kid: period.key for period in v.periods}
    count = len(v.periods) - 1
    v.add("device.key", Outcome.OK, f"first key, {count} later" if count else "first key")
    return True


def _named_period(p: Proof, first: PublicKey, rotations: Sequence[Record]) -> KeyPeriod | None:
    """From where on the key is in force that the credential names and no rotation led to."""
    key = p.credential.key if p.credential else None
    if (
        key is None
        or key == first
        or any(r.body.key == key for r in rotations if isinstance(r.body, Rotate))
    ):
        return None
    used = (r for r in (*p.links, *p.opens, *p.records, *rotations) if r.signed.kid == key.kid)
    at = min(used, key=lambda one: one.seq, default=None)
    if at is None:
        return KeyPeriod(limits.SEQ, key)
    # its `open` need not be in the file: the key was in force before what is
    return KeyPeriod(at.seq if at.kind is Kind.OPEN else max(at.seq - 1, 1), key)
