"""What a device's life amounts to: one sentence, facts for programs, the exit status of `tally device check`."""

from __future__ import annotations

import time

from tallystick import credential, did
from tallystick.statement import Effect, StatementKind, Status
from tallystick_host import limits
from tallystick_host.lifecycle import Life
from tallystick_host.words import rfc3339, shown

__all__ = ["check_facts", "effect_facts", "exit_status", "sentence", "stale"]

_BARRING = {
    Status.SUSPENDED: (StatementKind.SUSPENDED,),
    Status.STOLEN: (StatementKind.STOLEN,),
    Status.RETIRED: (StatementKind.RETIRED, StatementKind.REPLACED),
}


def exit_status(life: Life) -> int:
    """0 active, 4 suspended, stolen or retired, 5 unknown or undecided."""
    # what bars a device bars it, whatever else may be missing
    if life.status in _BARRING:
        return 4
    return 0 if life.status is Status.ACTIVE and not life.missing else 5


def sentence(life: Life) -> str:
    """Why it stands so."""
    if life.missing:
        return "a statement is missing: what is here does not decide it"
    if life.status is Status.UNKNOWN:
        return "no issuer of the policy has registered it"
    if life.status is Status.ACTIVE:
        return "nothing bars it"
    kinds = _BARRING[life.status]
    barred = [one for one in life.history.effects if one.took and one.statement.kind in kinds]
    last = barred[-1]
    since = f"since {rfc3339(last.time)}"
    match last.statement.kind:
        case StatementKind.SUSPENDED:
            return f"{since}: {shown(last.statement.args[0].decode())}"
        case StatementKind.REPLACED:
            return f"{since}, replaced by {last.statement.args[0].decode()}"
        case _:
            return since


def stale(life: Life) -> str:
    """A warning if the ledger's newest milestone is old by this computer's clock; else empty."""
    stone = life.view.newest
    age_s = int(time.time()) - stone.time
    if age_s <= limits.VIEW_AGE_S:
        return ""
    return (
        f"the newest milestone shown is of {rfc3339(stone.time)}, {age_s // 3600} h ago by this clock: "
        "what happened since does not show"
    )


def effect_facts(life: Life, effect: Effect) -> dict[str, object]:
    """One statement of the history, for `--json`."""
    said = effect.statement
    return {
        "schema": 1,
        "device": life.device,
        "position": effect.position,
        "time": rfc3339(effect.time),
        "statement": said.kind.name.lower(),
        "id": said.id.hex(),
        "signer": said.signed.kid.hex(),
        "about": said.args[0].decode() if said.args else None,
        "took": effect.took,
        "detail": effect.detail,
        **_as_of(life),
    }


def check_facts(life: Life) -> dict[str, object]:
    """The answer of `tally device check`, for `--json`."""
    seen = life.inspection
    return {
        "schema": 1,
        "device": life.device,
        "id": did.public_key(life.device).kid.hex(),
        "status": str(life.status),
        "exit": exit_status(life),
        "detail": sentence(life),
        "issuer": None if life.issuer is None else life.issuer.did,
        "owner": life.history.owner,
        "offered_to": life.offered_to,
        "inspected": None
        if seen is None
        else {
            "time": rfc3339(seen.time),
            "result": seen.statement.args[0].decode(),
            "inspector": credential.parse(seen.statement.args[1]).subject,
        },
        **_as_of(life),
    }


def _as_of(life: Life) -> dict[str, object]:
    stone = life.view.newest
    return {
        "as_of": {
            "ledger": life.view.ledger.ledger.hex(),
            "milestone": stone.index,
            "id": stone.id.hex(),
            "time": rfc3339(stone.time),
            "blocks": stone.size,
            "complete": life.view.complete,
        }
    }
