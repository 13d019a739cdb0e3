"""What a policy may ask for besides (docs/format.md, section 12): board kinds, agent digests, the age of the anchor.

Each is a check only if the policy speaks of it.
"""

from __future__ import annotations

from tallystick.body import Open
from tallystick.verdict import Outcome
from tallystick.verification.state import Verification, some

__all__ = ["agents", "anchor_age", "board"]


def board(v: Verification) -> None:
    """**board.kind**: is the board, as its issuer certifies, of a kind that the policy accepts?"""
    code, accepted = "board.kind", v.policy.boards
    if not accepted or v.proof.credential is None:
        return
    kind = v.proof.credential.board
    if kind is None:
        v.add(code, Outcome.UNDECIDED, "the credential names no board kind")
    elif kind in accepted:
        v.add(code, Outcome.OK, f"{kind}, as the issuer says")
    else:
        v.add(code, Outcome.UNTRUSTED, f"{kind} is not a kind that the policy accepts")


def agents(v: Verification) -> None:
    """**agent.digest**: did the board report a program that the policy accepts?"""
    code, accepted = "agent.digest", v.policy.agents
    if not accepted:
        return
    p = v.proof
    opens = {r.raw: r for r in (*p.opens, *p.links, *p.records) if isinstance(r.body, Open)}
    others = [
        f"open {r.seq}: {r.body.digest.hex()} ({r.body.version}) is not in the policy"
        for r in opens.values()
        if isinstance(r.body, Open) and r.body.digest not in accepted
    ]
    if not opens:
        v.add(code, Outcome.UNDECIDED, "no open in the file says which program ran")
    elif others:
        v.add(code, Outcome.UNTRUSTED, some(others))
    else:
        v.add(code, Outcome.OK, "as the board says of itself")


def anchor_age(v: Verification) -> None:
    """**anchor.age**: is the anchor, now, not older than the policy allows?"""
    code, most, time = "anchor.age", v.policy.anchor_age_s, v.anchor_time
    if most is None:
        return
    if time is None:
        v.add(code, Outcome.PENDING, "not anchored yet")
    elif v.now is None:
        v.add(code, Outcome.UNDECIDED, "nobody said what time it is")
    elif v.now - time > most:
        v.add(code, Outcome.UNTRUSTED, f"{v.now - time} s old, {most} s are allowed")
    else:
        v.add(code, Outcome.OK, f"not older than {most} s")
