"""Options and steps that all commands share which read a ledger's statements or post one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from tallystick import credential, statement
from tallystick import limits as library_limits
from tallystick.cose import Signer
from tallystick.errors import TallystickError
from tallystick.policy import Policy
from tallystick.receipt import Receipt, State
from tallystick.statement import Effect, StatementKind
from tallystick_host import (
    files,
    ledger_client,
    ledger_view,
    lifecycle,
    options,
    policy_file,
    terminal,
)
from tallystick_host.errors import RefusedError, UndoneError, UseError
from tallystick_host.home import Home
from tallystick_host.ledger_view import View
from tallystick_host.lifecycle import Life
from tallystick_host.named import Named, named
from tallystick_host.words import rfc3339, shown_path

__all__ = ["Asked", "Posted", "asked_options", "post", "post_options"]


@dataclass(frozen=True)
class Asked:
    """Which device, which ledger, under which policy."""

    home: Home
    device: Named
    url: str
    trusted: Policy
    issuer: str | None

    def life(self, *, complete: bool, new: str | None = None) -> Life:
        """The device's life: out of all blocks, or out of the statements that the ledger shows."""
        view = self._view(complete=complete)
        device = self.device.did or lifecycle.did_in(view, self.device.id)
        return lifecycle.replay(device, view, self.trusted, issuer=self.issuer, new=new)

    def _view(self, *, complete: bool) -> View:
        if not complete:
            return ledger_view.quick(self.url, self.trusted, self.device.id)
        with ledger_view.progress() as step:
            return ledger_view.complete(self.url, self.trusted, self.device.id, step)


@dataclass(frozen=True)
class Posted:
    """What was said, and what became of it. `effect`: what it did, None while no milestone has confirmed it."""

    said: statement.Statement
    receipt: Receipt
    life: Life
    effect: Effect | None

    def facts(self) -> dict[str, object]:
        """For `--json`."""
        proven = self.receipt.confirmed
        return {
            "schema": 1,
            "device": self.life.device,
            "statement": self.said.kind.name.lower(),
            "id": self.said.id.hex(),
            "ledger": self.life.view.ledger.ledger.hex(),
            "block": self.receipt.block.hex(),
            "state": self.receipt.state.name.lower(),
            "position": None if proven is None else proven.position,
            "milestone": None if proven is None else proven.milestone.index,
            "took": None if self.effect is None else self.effect.took,
            "detail": None if self.effect is None else self.effect.detail,
        }

    @property
    def exit_status(self) -> int:
        """1 if it is confirmed and changed nothing."""
        return 0 if self.effect is None or self.effect.took else 1

    def say(self, *, as_json: bool) -> int:
        """Print it; the exit status."""
        if self.receipt.state is State.ATTACHED:
            terminal.talk("attached; it takes effect with the next milestone (--wait waits for it)")
        if self.effect is not None and not self.effect.took:
            terminal.warning(f"confirmed, and without effect: {self.effect.detail}")
        if as_json:
            terminal.json_line(self.facts())
            return self.exit_status
        where = self.receipt.confirmed
        state = (
            "attached"
            if where is None
            else f"confirmed at {where.position} by milestone {where.milestone.index}"
        )
        terminal.data(f"{self.said.kind.name.lower()}  {self.life.device}  {state}")
        return self.exit_status


asked_options = options.together(
    click.argument("device"),
    click.option("--ledger", "ledger_url", required=True, metavar="URL", help="The ledger."),
    options.FIND,
    click.option(
        "--held",
        "held_path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The device's credential (CWT): whose statements count.",
    ),
    options.POLICY,
    options.AS_JSON,
)
"""DEVICE, --ledger, --enrolment, --held, --policy, --json."""

post_options = options.together(
    click.option("--broker", required=True, metavar="HOST:PORT", help="The MQTT broker."),
    *options.LOGIN,
    click.option(
        "--key",
        "key_path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Sign with this key instead of the home folder's.",
    ),
    click.option("--wait", is_flag=True, help="Until a milestone confirms it."),
    click.option("--force", is_flag=True, help="Post it even if it can have no effect."),
)
"""--broker, --user, --password-file, --key, --wait, --force."""


def asked(
    home: Home,
    device: str,
    ledger_url: str,
    enrolment_path: Path | None,
    held_path: Path | None,
    policy_path: Path | None,
) -> Asked:
    """The options of `asked_options`, read."""
    found = named(device, enrolment_path)
    trusted = policy_file.read(policy_path or home.policy_path)
    issuer = found.issuer
    if held_path is not None:
        try:
            held = credential.parse(files.read(held_path, library_limits.CREDENTIAL_BYTES))
        except TallystickError as error:
            raise UndoneError(
                f"{shown_path(held_path)!r}: {error.detail}", code=error.code
            ) from error
        issuer = held.issuer
        if held.device_key.kid.hex() != found.id or found.did not in (None, held.subject):
            raise UseError(f"{shown_path(held_path)!r} is the credential of {held.subject}")
        named_issuer = trusted.issuer(issuer)
        if named_issuer is not None:
            # stops a seller from choosing whose statements count
            held.signed.verify(named_issuer.key)
    return Asked(home, found, ledger_url, trusted, issuer)


def post(
    asked: Asked,
    life: Life,
    signer: Signer,
    kind: StatementKind,
    args: list[bytes],
    *,
    at: ledger_client.Broker,
    wait: bool,
    force: bool,
) -> Posted:
    """Say it, unless it can have no effect: then `RefusedError` before anything is sent, or with `force` a warning."""
    raw = lifecycle.compose(life, signer, kind, args)
    reason = lifecycle.objection(life, raw)
    if reason and not force:
        raise RefusedError(
            f"{kind.name.lower()} would have no effect: {reason}",
            code="statement.objection",
            hint=_hint(life),
        )
    if reason:
        terminal.warning(f"it will have no effect: {reason}")
    said = statement.parse(raw)
    receipt = ledger_client.post(at, life.view.ledger, raw, wait=wait)
    return Posted(said, receipt, life, _effect(asked, life, receipt))


def _effect(asked: Asked, life: Life, receipt: Receipt) -> Effect | None:
    """What the confirmed statement did: somebody else's may have come before it."""
    if receipt.confirmed is None:
        return None
    new = None if life.issuer is None else life.issuer.did
    effects = asked.life(complete=False, new=new).history.effects
    return next((one for one in effects if one.position == receipt.confirmed.position), None)


def _hint(life: Life) -> str:
    stone = life.view.newest
    standing = f"the device is {life.status} as of milestone {stone.index}, {rfc3339(stone.time)}"
    if life.history.owner is not None:
        standing += f", owner {life.history.owner}"
    return f"{standing}; --force posts it all the same"
