"""The life of a device, replayed from a ledger's statements, and the next statement about it.

The rules are those of `tallystick.statement.History` and of nobody else. Which issuer speaks of a device: the one
whose credential it holds, where the credential is at hand; else the one of the policy that registered it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tallystick import did, statement
from tallystick.cose import Signer
from tallystick.limits import ACCEPT_WITHIN_S
from tallystick.policy import Issuer, Policy
from tallystick.statement import Effect, History, StatementKind, Status
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.ledger_view import View

__all__ = ["Life", "compose", "did_in", "objection", "replay"]


@dataclass(frozen=True)
class Life:
    """A device's statements with their effects, as of `view.newest`."""

    device: str
    issuer: Issuer | None
    history: History
    view: View
    missing: bool

    @property
    def status(self) -> Status:
        """Its standing."""
        return self.history.status

    @property
    def offered_to(self) -> str | None:
        """Who may accept it, as of the newest milestone."""
        took = [one.time for one in self.history.effects if one.took]
        if not took or self.view.newest.time - took[-1] > ACCEPT_WITHIN_S:
            return None
        return self.history.offered_to

    @property
    def inspection(self) -> Effect | None:
        """The last inspection that took effect."""
        done = [
            one
            for one in self.history.effects
            if one.took and one.statement.kind is StatementKind.INSPECTED
        ]
        return done[-1] if done else None


def did_in(view: View, id: str) -> str:
    """The DID of device `id`, from the statements about it."""
    names = {one.statement.device for one in view.said}
    if len(names) > 1:
        raise UseError(f"two devices have the id {id}", hint="name it by its did:key")
    if not names:
        raise UndoneError(
            f"the ledger says nothing about device {id}",
            code="device.unknown",
            hint="name it by its did:key, or with --enrolment FILE by its name",
        )
    return names.pop()


def replay(
    device: str, view: View, trusted: Policy, *, issuer: str | None = None, new: str | None = None
) -> Life:
    """The life of `device`. `issuer`: DID of the issuer whose credential it holds; `new`: who speaks as issuer of a
    device that nobody has registered.
    """
    if issuer is not None:
        named = trusted.issuer(issuer)
        if named is None:
            raise UndoneError(f"issuer {issuer} is not in the policy", code="issuer.unknown")
        return _replay(device, view, named)
    lives = [_replay(device, view, one) for one in trusted.issuers]
    registered = [one for one in lives if one.history.last is not None]
    if len(registered) > 1:
        raise UndoneError(
            f"{len(registered)} issuers of the policy have registered the device",
            code="issuer.ambiguous",
            hint="--held FILE says whose credential it holds",
        )
    if registered:
        return registered[0]
    fitting = [one for one in lives if one.issuer is not None and one.issuer.did == new]
    return (fitting or lives or [_replay(device, view, None)])[0]


def compose(life: Life, signer: Signer, kind: StatementKind, args: Sequence[bytes]) -> bytes:
    """The next statement about the device: it follows the last one that took effect."""
    last = life.history.last
    return statement.sign(
        signer,
        life.device,
        life.view.ledger.ledger,
        last.id if last else None,
        kind,
        args,
    )


def objection(life: Life, said: bytes) -> str:
    """Why the ledger's readers would give `said` no effect; empty if they would."""
    now = max(life.view.newest.time, int(time.time()))
    return life.history.objection(statement.parse(said), now)


def speaker(life: Life, owner: Signer | None, issuer: Signer | None) -> Signer | None:
    """Of the two keys the one that may speak of a theft: the owner's if it owns the device, else the issuer's."""
    if owner is not None and life.history.owner == did.did_key(owner.public):
        return owner
    if issuer is not None and issuer.public in life.history.issuers:
        return issuer
    return owner or issuer


def _replay(device: str, view: View, issuer: Issuer | None) -> Life:
    history = History(device, view.ledger.ledger, [] if issuer is None else [issuer.key])
    missing = False
    for one in view.said:
        if one.statement.device != device:
            continue
        # out of all blocks none can be missing, whatever one of them says of the one before it
        missing = missing or (not view.complete and history.misses(one.statement))
        history.apply(one.statement, one.position, one.milestone.time)
    return Life(device, issuer, history, view, missing)
