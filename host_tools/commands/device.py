"""`tally device`: the life of a device on a ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import rich_click as click

from tallystick import credential, did
from tallystick import limits as library_limits
from tallystick.cose import Signer
from tallystick.errors import TallystickError
from tallystick.statement import StatementKind
from tallystick_host import files, ledger_client, lifecycle, posting, terminal
from tallystick_host.commands.device_rotate import rotate
from tallystick_host.commands.device_standing import check, history
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.home import Home, read_key
from tallystick_host.lifecycle import Life
from tallystick_host.named import did_of
from tallystick_host.posting import Asked, asked_options, post_options
from tallystick_host.words import shown_path

__all__ = ["command"]


class _Common(TypedDict):
    """What all commands that post are given."""

    device: str
    ledger_url: str
    enrolment_path: Path | None
    held_path: Path | None
    policy_path: Path | None
    as_json: bool
    broker: str
    user: str | None
    password_file: Path | None
    key_path: Path | None
    wait: bool
    force: bool


@dataclass(frozen=True)
class _Said:
    """What a command says, once it has seen how the device stands."""

    kind: StatementKind
    signer: Signer | None
    args: tuple[bytes, ...] = ()


@click.group("device")
def command() -> None:
    """The life of a device: registered, transferred, suspended, stolen, inspected, retired.

    Each step is a signed statement in a ledger. Who may make it: the issuer registers, suspends, resumes and replaces;
    the owner transfers; either reports it stolen or recovered and retires it; the buyer accepts; an inspector inspects.
    One without the right to make it is refused here, before anything is posted.

    \b
    tally device check did:key:z6Mk... --ledger http://ledger.local:8081
    tally device history cold-room-3 --enrolment fleet.json \\
                 --ledger http://ledger.local:8081
    tally device report-stolen cold-room-3 --enrolment fleet.json \\
                 --ledger http://ledger.local:8081 --broker broker.local:1883

    Exit status: 0 done or active, 1 refused or confirmed without effect, 2 wrong use, 4 suspended, stolen or retired, 5
    unknown or could not be done.
    """


for one in (rotate, history, check):
    command.add_command(one)


def _asked(home: Home, given: _Common) -> Asked:
    return posting.asked(
        home,
        given["device"],
        given["ledger_url"],
        given["enrolment_path"],
        given["held_path"],
        given["policy_path"],
    )


def _say(home: Home, given: _Common, compose: Callable[[Life], _Said]) -> int:
    """Look at the device, compose the statement with the right key, and post it."""
    at = ledger_client.broker(given["broker"], given["user"], given["password_file"])
    for exposed in home.exposed():
        terminal.warning(f"others can read {shown_path(exposed)}")
        terminal.hint(f"chmod 600 {shown_path(exposed)}")
    path = given["key_path"]
    chosen = None if path is None else read_key(path)
    asked = _asked(home, given)
    issuer = chosen or (home.issuer() if home.issuer_path.exists() else None)
    new = None if issuer is None else did.did_key(issuer.public)
    life = asked.life(complete=False, new=new)
    said = compose(life)
    signer = chosen or said.signer
    if signer is None:
        raise UseError("no key to sign with", hint="tally init makes keys, --key FILE names one")
    args = list(said.args)
    posted = posting.post(
        asked, life, signer, said.kind, args, at=at, wait=given["wait"], force=given["force"]
    )
    return posted.say(as_json=given["as_json"])


def _command(name: str) -> Callable[[Callable[..., Any]], Any]:
    def decorate(function: Callable[..., Any]) -> Any:
        wrapped = click.pass_obj(post_options(asked_options(function)))
        return command.command(name)(wrapped)

    return decorate


def _owner(home: Home) -> Signer | None:
    return home.owner() if home.owner_path.exists() else None


def _issuer(home: Home) -> Signer | None:
    return home.issuer() if home.issuer_path.exists() else None


def _either(home: Home, kind: StatementKind) -> Callable[[Life], _Said]:
    return lambda life: _Said(kind, lifecycle.speaker(life, _owner(home), _issuer(home)))


@_command("register")
@click.option("--owner", metavar="DID", help="Whose it is; default: this home folder's owner.")
def register(home: Home, owner: str | None, **given: Unpack[_Common]) -> int:
    """Register DEVICE to its first owner. By the issuer; the first statement of a device.

    \b
    tally device register cold-room-3 --enrolment fleet.json --wait \\
                 --ledger http://ledger.local:8081 --broker broker.local:1883
    """
    name = did.did_key(home.owner().public) if owner is None else did_of(owner)
    return _say(
        home, given, lambda _: _Said(StatementKind.REGISTERED, _issuer(home), (name.encode(),))
    )


@_command("transfer")
@click.option("--to", "buyer", required=True, metavar="DID", help="The new owner.")
def transfer(home: Home, buyer: str, **given: Unpack[_Common]) -> int:
    """Offer DEVICE to a new owner. By the owner; nothing changes until the new owner accepts, within 30 days.

    \b
    tally device transfer cold-room-3 --enrolment fleet.json --to did:key:z6Mk... \\
                 --ledger http://ledger.local:8081 --broker broker.local:1883
    """
    name = did_of(buyer).encode()
    return _say(home, given, lambda _: _Said(StatementKind.TRANSFERRED, _owner(home), (name,)))


@_command("accept")
def accept(home: Home, **given: Unpack[_Common]) -> int:
    """Accept DEVICE after its transfer. By the new owner, with the owner.key of his own home folder.

    \b
    tally device accept did:key:z6Mk... --ledger http://ledger.local:8081 \\
                 --broker broker.local:1883
    """
    return _say(home, given, lambda _: _Said(StatementKind.ACCEPTED, _owner(home)))


@_command("suspend")
@click.option("--reason", required=True, help="Stands in the ledger for everyone to read.")
def suspend(home: Home, reason: str, **given: Unpack[_Common]) -> int:
    """Suspend DEVICE: records anchored from now on are UNTRUSTED, until it is resumed. By the issuer.

    \b
    tally device suspend cold-room-3 --enrolment fleet.json --reason "recall 17" \\
                 --ledger http://ledger.local:8081 --broker broker.local:1883
    """
    words = _text(reason)
    return _say(home, given, lambda _: _Said(StatementKind.SUSPENDED, _issuer(home), (words,)))


@_command("resume")
def resume(home: Home, **given: Unpack[_Common]) -> int:
    """Resume a suspended DEVICE. By the issuer.

    \b
    tally device resume cold-room-3 --enrolment fleet.json \\
                 --ledger http://ledger.local:8081 --broker broker.local:1883
    """
    return _say(home, given, lambda _: _Said(StatementKind.RESUMED, _issuer(home)))


@_command("report-stolen")
def report_stolen(home: Home, **given: Unpack[_Common]) -> int:
    """Report DEVICE as stolen: records anchored from now on are UNTRUSTED. By the owner or the issuer.

    \b
    tally device report-stolen cold-room-3 --enrolment fleet.json \\
                 --ledger http://ledger.local:8081 --broker broker.local:1883
    """
    return _say(home, given, _either(home, StatementKind.STOLEN))


@_command("recover")
def recover(home: Home, **given: Unpack[_Common]) -> int:
    """Report a stolen DEVICE as recovered: it stands as before the theft. By the owner or the issuer.

    \b
    tally device recover cold-room-3 --enrolment fleet.json \\
                 --ledger http://ledger.local:8081 --broker broker.local:1883
    """
    return _say(home, given, _either(home, StatementKind.RECOVERED))


@_command("retire")
def retire(home: Home, **given: Unpack[_Common]) -> int:
    """Retire DEVICE for good; no statement after it has effect. By the owner or the issuer.

    \b
    tally device retire cold-room-3 --enrolment fleet.json \\
                 --ledger http://ledger.local:8081 --broker broker.local:1883
    """
    return _say(home, given, _either(home, StatementKind.RETIRED))


@_command("inspect")
@click.option("--result", required=True, help="What was found; stands in the ledger.")
@click.option(
    "--credential",
    "credential_path",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The inspector's credential (CWT).",
)
def inspect(home: Home, result: str, credential_path: Path, **given: Unpack[_Common]) -> int:
    """Record an inspection of DEVICE. By an inspector: --key is his, --credential what the issuer gave him.

    \b
    tally device inspect did:key:z6Mk... --result "calibrated, +0.1 K" \\
                 --key me.key --credential me.cwt \\
                 --ledger http://ledger.local:8081 --broker broker.local:1883
    """
    raw = files.read(credential_path, library_limits.CREDENTIAL_BYTES)
    try:
        credential.parse(raw)
    except TallystickError as error:
        raise UndoneError(
            f"{shown_path(credential_path)!r}: {error.detail}", code=error.code
        ) from error
    words = _text(result)
    return _say(home, given, lambda _: _Said(StatementKind.INSPECTED, _owner(home), (words, raw)))


@_command("replace")
@click.option("--by", "successor", required=True, metavar="DID", help="The device that takes over.")
def replace(home: Home, successor: str, **given: Unpack[_Common]) -> int:
    """Retire DEVICE in favour of another one, after a lost key for instance. By the issuer.

    \b
    tally device replace cold-room-3 --enrolment fleet.json --by did:key:z6Mk... \\
                 --ledger http://ledger.local:8081 --broker broker.local:1883
    """
    name = did_of(successor).encode()
    return _say(home, given, lambda _: _Said(StatementKind.REPLACED, _issuer(home), (name,)))


def _text(words: str) -> bytes:
    raw = words.encode()
    if not words.isprintable() or not 0 < len(raw) <= library_limits.REASON_BYTES:
        raise UseError(
            f"{words[:64]!r} is no text for a statement",
            hint=f"1 to {library_limits.REASON_BYTES} bytes that print",
        )
    return raw
