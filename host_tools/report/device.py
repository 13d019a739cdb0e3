"""The device card: who it is, who says so, what it runs, and what has been said of it in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tallystick import did
from tallystick.body import Open
from tallystick.policy import Policy
from tallystick.proof import Proof
from tallystick.statement import History
from tallystick.verdict import Outcome, Verdict
from tallystick_host.forks import device_keys
from tallystick_host.words import rfc3339

__all__ = ["Said", "facts", "history"]


@dataclass(frozen=True)
class Said:
    """One statement: when by the ledger's clock, what, about whom or what, and whether it took effect."""

    time: str
    kind: str
    about: str
    effect: str


def facts(proof: Proof, policy: Policy, name: str) -> Iterator[tuple[str, str]]:
    """Names and values of the card."""
    credential = proof.credential
    if credential is None:
        yield "Device", "unknown: no credential in the file"
        return
    if name:
        yield "Called", name
    yield "Id", credential.device_key.kid.hex()
    yield "Its first key", credential.subject
    later = [key for key in device_keys(proof).values() if key != credential.device_key]
    if later:
        yield "Later keys", ", ".join(key.kid.hex() for key in later)
    issuer = policy.issuer(credential.issuer)
    known = (issuer.name or "in the policy") if issuer else "not in the policy"
    yield "Issuer", f"{credential.issuer} ({known})"
    until = "" if credential.expires is None else f" until {rfc3339(credential.expires)}"
    yield "Credential", f"valid from {rfc3339(credential.not_before)}{until}"
    if credential.board is not None:
        yield "Kind of board", f"{credential.board} (the issuer's word)"
    opens = [
        one for one in (*proof.opens, *proof.links, *proof.records) if isinstance(one.body, Open)
    ]
    if opens:
        newest = max(opens, key=lambda one: one.seq).body
        if isinstance(newest, Open):
            yield "Program", f"{newest.version}, {newest.digest.hex()} (the board's own word)"
            yield "Started", f"{newest.boots} times"


def history(proof: Proof, policy: Policy, verdict: Verdict) -> list[Said]:
    """The statements in the order of the ledger; empty if they could not be verified."""
    check = verdict.check("device.status")
    credential = proof.credential
    if check is None or credential is None or not proof.statements:
        return []
    if check.result not in (Outcome.OK, Outcome.UNTRUSTED):
        return []
    issuer = policy.issuer(credential.issuer)
    ledger = proof.statements[0][0].milestone.ledger
    life = History(did.did_key(credential.device_key), ledger, [issuer.key] if issuer else [])
    said: list[Said] = []
    for confirmed, statement in proof.statements:
        time = confirmed.milestone.time
        effect = life.apply(statement, confirmed.position, time)
        about = statement.args[0].decode() if statement.args else ""
        kind = statement.kind.name.lower()
        said.append(Said(rfc3339(time), kind, about, "" if effect.took else effect.detail))
    return said
