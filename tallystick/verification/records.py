"""Steps 4 and 5: who signed each record, and what its readings mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tallystick.body import Kind, Open, Readings
from tallystick.cose import Signed
from tallystick.errors import EvidenceError
from tallystick.keys import PublicKey
from tallystick.verdict import Outcome
from tallystick.verification.state import Verification, some

__all__ = ["SignatureCheck", "check_signatures", "opens", "signatures"]

SignatureCheck: TypeAlias = Callable[[Sequence[tuple[PublicKey, Signed]]], Sequence[str]]


def check_signatures(signed: Sequence[tuple[PublicKey, Signed]]) -> list[str]:
    """Why each signature fails, empty where it verifies."""
    found: list[str] = []
    for key, one in signed:
        try:
            one.verify(key)
        except EvidenceError as error:
            found.append(error.detail)
        else:
            found.append("")
    return found


def signatures(v: Verification, check: SignatureCheck) -> None:
    """4. **record.signature**: of every record in the file, by the key that its kid names."""
    p = v.proof
    everything = [*p.links, *p.opens, *p.records, *(r for pair in p.forks for r in pair)]
    known = [(one, key) for one in everything if (key := v.keys.get(one.signed.kid)) is not None]
    unknown = [
        f"seq {one.seq}: key {one.signed.kid.hex()} is not the device's"
        for one in everything
        if one.signed.kid not in v.keys
    ]
    bad: list[str] = []
    reasons = check([(key, one.signed) for one, key in known])
    for (one, _), reason in zip(known, reasons, strict=True):
        if reason:
            v.bad.add(one.seq)
            bad.append(f"seq {one.seq}: {reason}")
        else:
            v.good.add(one.raw)
    code = "record.signature"
    if bad:
        v.add(code, Outcome.FAILED, some(bad))
    elif unknown:
        v.add(code, Outcome.UNDECIDED, some(unknown))
    else:
        v.add(code, Outcome.OK, f"{len(p.records)} record(s) signed by the device")


def opens(v: Verification) -> None:
    """5. **record.open**: what says the meaning of the columns is there, fits, and counts."""
    p = v.proof
    given = {r.seq: r for r in (*p.opens, *p.links, *p.records) if r.kind is Kind.OPEN}
    missing: list[str] = []
    wrong: list[str] = []
    # stops who holds a replaced key from giving the columns another meaning
    replaced = [r.seq for r in p.opens if r.signed.kid != v.in_force(r.seq).kid]
    readings = [(r.seq, r.body) for r in p.records if isinstance(r.body, Readings)]
    for seq, body in readings:
        opened = given.get(body.boot)
        if opened is None or not isinstance(opened.body, Open):
            missing.append(f"seq {seq}: open {body.boot} is not in the file")
        elif len(opened.body.channels) != len(body.columns):
            v.bad.add(seq)
            wrong.append(f"seq {seq}: columns do not fit open {body.boot}")
    code = "record.open"
    if wrong:
        v.add(code, Outcome.FAILED, some(wrong))
    elif missing:
        v.add(code, Outcome.UNDECIDED, some(missing))
    elif replaced:
        v.add(code, Outcome.UNTRUSTED, f"open {replaced[0]}: its key is not in force there")
    elif readings:
        v.add(code, Outcome.OK, f"{len(readings)} readings record(s) with their open")
    else:
        v.add(code, Outcome.SKIPPED, "no readings in the file")
