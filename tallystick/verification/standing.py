"""Step 10: the standing of the device at the anchor, by its statements and by the issuer's status lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick import did
from tallystick.errors import TallystickError
from tallystick.keys import PublicKey
from tallystick.verdict import Outcome
from tallystick.verification.ledger import inclusion_of, milestone_of
from tallystick.verification.state import Verification

if TYPE_CHECKING:
    from tallystick.status_list import StatusListCredential

__all__ = ["statements", "status_lists"]


def statements(v: Verification, first_key: PublicKey) -> None:
    """10. **device.status**: the rules of section 9 over the statements, in the order of positions."""
    p = v.proof
    code = "device.status"
    if not p.statements:
        v.add(code, Outcome.SKIPPED, "no statements about the device in the file")
        return
    from tallystick.statement import History, Status

    credential = p.credential
    issuer = v.policy.issuer(credential.issuer) if credential else None
    issuers = [issuer.key] if issuer else []
    newest = (p.anchor or p.statements[0][0]).milestone
    ledger = newest.ledger
    history = History(did.did_key(first_key), ledger, issuers)
    at_anchor = Status.UNKNOWN
    missing = False
    for confirmed, statement in p.statements:
        if confirmed.milestone.ledger != ledger:
            v.add(code, Outcome.UNDECIDED, "a statement in another ledger than the anchor")
            return
        for result, detail in (inclusion_of(confirmed), milestone_of(v, confirmed.milestone)):
            if result is not Outcome.OK:
                v.add(code, result, f"statement at {confirmed.position}: {detail}")
                return
        missing = missing or history.misses(statement)
        effect = history.apply(statement, confirmed.position, confirmed.milestone.time)
        if not effect.took:
            kind = statement.kind.name.lower()
            v.notes.append(
                f"statement {kind!r} at {confirmed.position} had no effect: {effect.detail}"
            )
        # what no path ties to the anchor may be as young as the newest statement
        early = p.anchor is None or confirmed.position < p.anchor.position
        if early or not v.anchored():
            at_anchor = history.status
        if confirmed.milestone.index > newest.index:
            newest = confirmed.milestone
    if history.status is not at_anchor:
        v.notes.append(f"after the anchor the device became {history.status}")
    if at_anchor in (Status.SUSPENDED, Status.STOLEN, Status.RETIRED):
        v.add(code, Outcome.UNTRUSTED, f"{at_anchor} before the anchor's position")
    elif missing:
        # stops whoever hands over the file from leaving out the one statement that matters
        v.add(code, Outcome.UNDECIDED, "a statement names one that is not in the file")
    else:
        v.add(code, Outcome.OK, f"{at_anchor}, as of milestone {newest.index}")


def status_lists(v: Verification) -> None:
    """10. **credential.status**: of a credential that refers to status lists, by those at hand."""
    p = v.proof
    code = "credential.status"
    credential = p.credential
    reference = credential.status if credential else None
    issuer = v.policy.issuer(credential.issuer) if credential else None
    if reference is None:
        return
    # JSON, GZIP and dates: few credentials have a reference, and every verdict would wait for them
    from tallystick import data_integrity, status_list, timestamp

    place = f"status list {reference.list}, index {reference.index}"
    found: list[StatusListCredential] = []
    for given in v.lists:
        try:
            one = status_list.parse(given)
            if one.number == reference.list and issuer is not None:
                # whatever name the issuer has in it: the policy's key must have signed the list
                data_integrity.verify(given, issuer.key)
                one.list.get(reference.index)
                found.append(one)
        except TallystickError as error:
            v.add(code, Outcome.UNDECIDED, f"a status list that says nothing: {error.detail}")
            return
    if not found:
        v.add(code, Outcome.SKIPPED, f"{place} is not at hand")
        return
    barring = [one for one in found if one.list.get(reference.index)]
    anchored_at = v.anchor_time if v.anchored() else None
    if not barring:
        as_of = timestamp.text(min(one.valid_from for one in found))
        said = " or ".join(sorted(one.purpose for one in found))
        v.add(code, Outcome.OK, f"no {said} in {place}, as of {as_of}")
        return
    oldest = min(barring, key=lambda one: one.valid_from)
    detail = f"{oldest.purpose} in {place}, as of {timestamp.text(oldest.valid_from)}"
    if anchored_at is None or anchored_at >= oldest.valid_from:
        v.add(code, Outcome.UNTRUSTED, detail)
    elif v.outcome("device.status") is Outcome.OK:
        v.notes.append(f"{detail}; at the anchor the device's statements count")
    else:
        # a list says that it is so, not since when
        v.add(code, Outcome.UNDECIDED, f"{detail}: later than the anchor; since when is not said")
