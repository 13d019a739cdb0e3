"""Steps 4 and 5: who signed each record, and what its readings mean."""

from __future__ import annotations

from tallystick.body import Kind, Open, Readings
from tallystick.errors import EvidenceError
from tallystick.verdict import Outcome
from tallystick.verification.state import Verification, some

__all__ = ["opens", "signatures"]


def signatures(v: Verification) -> None:
    """4. **record.signature**: of every record in the file, by the key that its kid names."""
    p = v.proof
    bad: list[str] = []
    unknown: list[str] = []
    everything = [*p.links, *p.opens, *p.records, *(r for pair in p.forks for r in pair)]
    for one in everything:
        key = v.keys.get(one.signed.kid)
        if key is None:
            unknown.append(f"seq {one.seq}: key {one.signed.kid.hex()} is not the device's")
            continue
        try:
            one.signed.verify(key)
        except EvidenceError as error:
            bad.append(f"seq {one.seq}: {error.detail}")
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
