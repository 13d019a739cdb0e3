"""`tally credential`: issue, show, verify, suspend, resume, revoke."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import rich_click as click

from tallystick import did, timestamp
from tallystick.credential import INSPECTOR, KIND
from tallystick.errors import TallystickError
from tallystick.verdict import Check, Outcome, Verdict
from tallystick_host import credential_file, files, issuer, options, policy_file, terminal
from tallystick_host.commands import credential_status
from tallystick_host.enrolment import Enrolment
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.home import Home
from tallystick_host.issuing import Issued, end_of, issue
from tallystick_host.named import Named, did_of, named
from tallystick_host.status_book import read_list
from tallystick_host.words import columns, rfc3339, shown, shown_path

__all__ = ["command"]

_FORMS = {"cwt": ("cwt",), "vc": ("vc",), "both": ("cwt", "vc")}
_ENROLMENT = click.option(
    "--enrolment",
    "enrolment_path",
    type=click.Path(path_type=Path),
    help="To find a DEVICE by its name or id.",
)


@click.group("credential")
def command() -> None:
    """What this issuer certifies of a device or an inspector: issue, show, verify, suspend, revoke.

    \b
    tally credential issue cold-room-3 --enrolment fleet.json
    tally credential verify 9f86d081884c7d65.vc.json
    tally credential revoke cold-room-3 --enrolment fleet.json
    """


credential_status.add_to(command)


@command.command("issue")
@click.argument("device")
@_ENROLMENT
@click.option(
    "--form",
    type=click.Choice(list(_FORMS)),
    default="both",
    show_default=True,
    help="CWT for boards and proofs, VC 2.0 for everyone else.",
)
@click.option(
    "--expires", type=click.IntRange(1, 36_500), metavar="DAYS", help="Default: it does not."
)
@click.option(
    "--role", type=click.Choice([INSPECTOR]), help="For a person who inspects devices, by his DID."
)
@click.option(
    "--board", "board", metavar="KIND", help="What kind of board it is; default: what it says now."
)
@click.option("--in-force", metavar="DID", help="The key in force, after a rotation.")
@click.option("--no-status", is_flag=True, help="Without a place in the status lists.")
@click.option(
    "--update", is_flag=True, help="Put the CWT into the enrolment file, in the old one's place."
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder for <id>.cwt and <id>.vc.json; default: here.",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Facts as one JSON object.")
@click.pass_obj
def issue_(
    home: Home,
    device: str,
    enrolment_path: Path | None,
    form: str,
    expires: int | None,
    role: str | None,
    board: str | None,
    in_force: str | None,
    no_status: bool,
    update: bool,
    folder: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Issue a credential for DEVICE: a did:key, or with --enrolment an enrolled board's name or id.

    Each credential gets a place in this issuer's status lists, so that it can be suspended and revoked. The lists lie
    in the home folder under web/, to be hosted.

    \b
    tally credential issue cold-room-3 --enrolment fleet.json --update
    tally credential issue did:key:z6Mk... --form vc --expires 365
    tally credential issue did:key:z6Mk... --role inspector --expires 90
    """
    who = named(device, enrolment_path)
    subject = _subject(who)
    if update and (enrolment_path is None or role is not None):
        raise UseError("--update needs --enrolment, and a credential of a board")
    id = did.public_key(subject).kid.hex()
    paths = {one: folder / f"{id}.{'cwt' if one == 'cwt' else 'vc.json'}" for one in _FORMS[form]}
    for path in paths.values():
        if path.exists() and not force:
            raise UseError(f"{shown_path(path)!r} exists already", hint="--force replaces it")
    key = None if in_force is None else did.public_key(did_of(in_force))
    issued = issue(
        home,
        issuer.load(home),
        subject,
        expires=end_of(expires),
        key=key,
        role=role,
        board=_kind(board, role, who.kind),
        with_status=not no_status,
    )
    for one, path in paths.items():
        files.replace(path, issued.cwt if one == "cwt" else issued.document)
    if update and enrolment_path is not None:
        _update(enrolment_path, subject, issued)
        terminal.talk(
            f"{shown_path(enrolment_path)} holds the new credential; the gateway reads it"
        )
    if issued.place is not None:
        terminal.talk(
            f"host the files below {shown_path(home.web_folder)}: they say what is revoked"
        )
    if as_json:
        place = issued.place
        terminal.json_line(
            {
                "schema": 1,
                "subject": subject,
                "id": id,
                "files": [shown_path(path) for path in paths.values()],
                "bytes": len(issued.cwt),
                "status": None
                if place is None
                else {"list": place.reference.list, "index": place.reference.index},
            }
        )
        return
    for path in paths.values():
        terminal.data(shown_path(path))


@command.command("show")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(path: Path, as_json: bool) -> None:
    """Show what a credential says, CWT or VC 2.0. Nothing is verified.

    \b
    tally credential show 9f86d081884c7d65.cwt
    tally credential show --json 9f86d081884c7d65.vc.json | jq -r .subject
    """
    facts = _read(path).shown()
    if as_json:
        terminal.json_line(facts)
        return
    terminal.talk("not verified: tally credential verify does that")
    rows = [[name, _words(value)] for name, value in facts.items() if name != "schema"]
    for line in columns(rows):
        terminal.data(line)


@command.command("verify")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@options.POLICY
@options.STATUS_LISTS
@click.option(
    "--did-document",
    "document_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="did.json of a did:web issuer; may be repeated.",
)
@click.option("--at", "at_text", metavar="TIME", help="RFC 3339; default: now, by this clock.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def verify(
    home: Home,
    path: Path,
    policy_path: Path | None,
    list_paths: tuple[Path, ...],
    document_paths: tuple[Path, ...],
    at_text: str | None,
    as_json: bool,
) -> int:
    """Verify a credential, offline. A status list says what it said when the issuer signed it.

    \b
    0  VERIFIED    signed by an issuer of the policy, valid, not barred
    1  TAMPERED    the signature is not the issuer's
    4  UNTRUSTED   another issuer, not valid then, suspended or revoked
    5  UNDECIDED   malformed, or a file that is needed is missing

    \b
    tally credential verify 9f86d081884c7d65.cwt
    tally credential verify part.vc.json --did-document did.json \\
                --status-list web/status/1/revocation
    """
    trusted = policy_file.read(policy_path or home.policy_path)
    at = int(time.time()) if at_text is None else _moment(at_text)
    lists = [read_list(one)[1] for one in list_paths]
    dids = issuer.read_documents(document_paths)
    try:
        given = credential_file.read(path)
    except TallystickError as error:
        detail = f"{error.detail} ({error.code})"
        verdict = Verdict((Check("credential.format", Outcome.UNDECIDED, detail),))
    else:
        verdict = credential_file.judge(given, trusted, at, lists, dids)
    if as_json:
        terminal.json_line(
            {
                "schema": 1,
                "file": shown_path(path),
                "status": str(verdict.status),
                "exit": verdict.exit_status,
                "subject": verdict.device,
                "issuer": verdict.issuer,
                "at": rfc3339(at),
                "checks": [
                    {"code": one.code, "result": str(one.result), "detail": one.detail}
                    for one in verdict.checks
                ],
            }
        )
        return verdict.exit_status
    terminal.data(f"{shown_path(path)}: {terminal.styled(str(verdict.status))}")
    rows = [[str(one.result), one.code, shown(one.detail, 4096)] for one in verdict.checks]
    for line in columns(rows, indent="  "):
        terminal.data(line)
    return verdict.exit_status


def _kind(given: str | None, role: str | None, held: str | None) -> str | None:
    """What the credential is to say of the kind of board; `UseError` for a name that no policy could ask for."""
    if role is not None:
        if given is not None:
            raise UseError("a person is no kind of board", hint="--role or --board, not both")
        return None
    if given is not None and not KIND.fullmatch(given):
        raise UseError(
            f"{shown(given)!r} is no kind of board",
            hint="1 to 32 of A-Z a-z 0-9 . _ -, as in tally boards list",
        )
    return given or held


def _subject(device: Named) -> str:
    if device.did is None:
        raise UseError(
            f"the key of {device.id} is not known",
            hint="name it by its did:key, or give --enrolment FILE",
        )
    return device.did


def _update(path: Path, subject: str, issued: Issued) -> None:
    id = did.public_key(subject).kid.hex()
    with files.locked(path):
        enrolment = Enrolment.load(path)
        known = enrolment.with_id(id)
        if known is None or known.did != subject:
            raise UseError(f"{id} is not in {shown_path(path)!r}", hint="tally enrol enrols it")
        enrolment.put(replace(known, credential=issued.cwt))
        enrolment.save()


def _read(path: Path) -> credential_file.CredentialFile:
    try:
        return credential_file.read(path)
    except TallystickError as error:
        raise UndoneError(f"{shown_path(path)!r}: {error.detail}", code=error.code) from error


def _moment(text: str) -> int:
    try:
        return timestamp.seconds(text)
    except TallystickError as error:
        raise UseError(
            f"{text!r} is no time", code=error.code, hint="for example 2026-11-20T14:00:00Z"
        ) from error


def _words(value: object) -> str:
    if isinstance(value, list):
        return (
            "; ".join(", ".join(f"{name} {inner}" for name, inner in one.items()) for one in value)
            or "-"
        )
    return "-" if value is None else shown(str(value), 4096)
