"""`tally credential suspend | resume | revoke`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick import did
from tallystick.statement import StatementKind
from tallystick.status_list import Purpose
from tallystick_host import issuer, ledger_client, options, posting, terminal
from tallystick_host.errors import UseError
from tallystick_host.home import Home
from tallystick_host.named import Named, named
from tallystick_host.posting import Asked, Posted
from tallystick_host.status_book import Place, StatusBook
from tallystick_host.words import plural, shown_path

__all__ = ["add_to"]

_SUSPEND = """\
Suspend all credentials of DEVICE that this issuer gave; resume takes it back.

    With --ledger and --broker the device is suspended on the ledger too: that is what proofs are judged by, since a
    list says only how things stand, not since when.

    \b
    tally credential suspend cold-room-3 --enrolment fleet.json
    tally credential suspend cold-room-3 --enrolment fleet.json --reason recall \\
                --ledger http://ledger.local:8081 --broker broker.local:1883
    """
_RESUME = """\
Take a suspension back; on the ledger too with --ledger and --broker.

    \b
    tally credential resume cold-room-3 --enrolment fleet.json
    """
_REVOKE = """\
Revoke all credentials of DEVICE that this issuer gave, for good.

    With --ledger and --broker the device is retired on the ledger too, for good as well.

    \b
    tally credential revoke cold-room-3 --enrolment fleet.json
    """


def add_to(group: click.Group) -> None:
    """Add the three commands to `tally credential`."""
    _add(
        group,
        "suspend",
        Purpose.SUSPENSION,
        True,
        StatementKind.SUSPENDED,
        _SUSPEND,
    )
    _add(
        group,
        "resume",
        Purpose.SUSPENSION,
        False,
        StatementKind.RESUMED,
        _RESUME,
    )
    _add(
        group,
        "revoke",
        Purpose.REVOCATION,
        True,
        StatementKind.RETIRED,
        _REVOKE,
    )


def _add(
    group: click.Group, name: str, purpose: Purpose, value: bool, kind: StatementKind, says: str
) -> None:
    """One of the commands that change the lists, and with --ledger and --broker post a statement."""

    @group.command(name, help=says)
    @click.argument("device")
    @options.FIND
    @click.option("--reason", default="", help="Stands in the statement (suspended).")
    @click.option("--ledger", "ledger_url", metavar="URL", help="Post a statement as well.")
    @click.option("--broker", metavar="HOST:PORT", help="The MQTT broker of that ledger.")
    @options.together(*options.LOGIN)
    @click.option("--wait", is_flag=True, help="Until a milestone confirms the statement.")
    @options.POLICY
    @options.AS_JSON
    @click.pass_obj
    def run(
        home: Home,
        device: str,
        enrolment_path: Path | None,
        reason: str,
        ledger_url: str | None,
        broker: str | None,
        user: str | None,
        password_file: Path | None,
        wait: bool,
        policy_path: Path | None,
        as_json: bool,
    ) -> int:
        if (ledger_url is None) != (broker is None):
            raise UseError("--ledger and --broker go together")
        at = None if broker is None else ledger_client.broker(broker, user, password_file)
        asked = None
        if ledger_url is not None:
            asked = posting.asked(home, device, ledger_url, enrolment_path, None, policy_path)
        signer = issuer.load(home)
        book = StatusBook(home, signer)
        subject, places = _places(book, named(device, enrolment_path))
        changed = book.mark(places, purpose, value)
        for path in changed:
            terminal.talk(f"changed {shown_path(path)}: host it again")
        if not changed:
            terminal.talk(f"{subject} has this status in the lists already; nothing changed there")
        posted = None
        if asked is not None and at is not None:
            args = [reason.encode()] if kind is StatementKind.SUSPENDED else []
            posted = _post(asked, signer, kind, args, at, wait=wait)
        if as_json:
            terminal.json_line(
                {
                    "schema": 1,
                    "subject": subject,
                    "purpose": purpose.value,
                    "set": value,
                    "credentials": len(places),
                    "changed": [shown_path(path) for path in changed],
                    "posted": None if posted is None else posted.facts(),
                }
            )
            return 0 if posted is None else posted.exit_status
        terminal.data(f"{name}  {subject}  {plural(len(places), 'credential')}")
        return 0 if posted is None else posted.say(as_json=False)


def _post(
    asked: Asked,
    signer: issuer.Issuer,
    kind: StatementKind,
    args: list[bytes],
    at: ledger_client.Broker,
    *,
    wait: bool,
) -> Posted:
    life = asked.life(complete=False)
    return posting.post(asked, life, signer.key, kind, args, at=at, wait=wait, force=False)


def _places(book: StatusBook, device: Named) -> tuple[str, list[Place]]:
    """The DID of a device and its places in the lists."""
    found = [one for one in book.all() if did.public_key(one.did).kid.hex() == device.id]
    names = {one.did for one in found}
    if device.did is not None:
        names, found = {device.did}, [one for one in found if one.did == device.did]
    if not found:
        raise UseError(
            f"no credential of {device.id} has a place in the status lists of this issuer",
            hint="tally credential issue gives one; tally device suspend speaks on the ledger",
        )
    if len(names) > 1:
        raise UseError(f"two devices have the id {device.id}", hint="name it by its did:key")
    return names.pop(), found
