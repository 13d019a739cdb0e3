"""`tally enrol`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick_host import enrol as enrolling
from tallystick_host import grants, terminal
from tallystick_host.console import Console
from tallystick_host.enrol import Settings
from tallystick_host.enrolment import Enrolment, check_name
from tallystick_host.errors import UseError
from tallystick_host.grants import gateway_key
from tallystick_host.home import Home
from tallystick_host.transport import SerialPort, VirtualBoard
from tallystick_host.words import shown_path

__all__ = ["broker_address", "command"]


@click.command("enrol")
@click.option(
    "--enrolment",
    "enrolment_path",
    type=click.Path(path_type=Path),
    required=True,
    help="The gateway's enrolment file; made if it is not there.",
)
@click.option("--port", help="Serial port of the board, or a pseudo-terminal.")
@click.option(
    "--virtual",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of a virtual board (a simulator).",
)
@click.option("--name", help="What people call the board.")
@click.option("--gateway", help="Line of the gateway that the board may believe.")
@click.option("--broker", metavar="HOST:PORT", help="MQTT broker; PORT is 1883 if not given.")
@click.option("--interval", type=click.IntRange(1), metavar="MS", help="Between readings.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Readings in a record.")
@click.option(
    "--expires", type=click.IntRange(1, 36_500), metavar="DAYS", help="Life of the credential."
)
@click.option("--json", "as_json", is_flag=True, help="Facts as one JSON object.")
@click.pass_obj
def command(
    home: Home,
    enrolment_path: Path,
    port: str | None,
    virtual: Path | None,
    name: str | None,
    gateway: str | None,
    broker: str | None,
    interval: int | None,
    batch: int | None,
    expires: int | None,
    as_json: bool,
) -> None:
    """Enrol one board: it proves its key, gets a credential, its owner and its gateway's grant.

    The key is made on the board and stays there. Enrolling a board again changes nothing that is right already.

    \b
    tally enrol --enrolment fleet.json --port /dev/ttyUSB0 --name cold-room-3 \\
                --gateway "$(tally-gateway identity)" --broker broker.local:1883
    tally enrol --enrolment fleet.json --virtual boards/one --broker localhost
    """
    if (port is None) == (virtual is None):
        raise UseError("one of --port and --virtual is needed")
    owner, issuer = home.owner(), home.issuer()
    for path in home.exposed():
        terminal.warning(f"others can read {shown_path(path)}")
        terminal.hint(f"chmod 600 {shown_path(path)}")
    enrolment = Enrolment.load(enrolment_path, or_new=True)
    grant = enrolment.grant()
    if gateway is not None:
        key = gateway_key(gateway)
        if grant is None:
            grant = grants.for_gateway(home, key, owner)
        elif grant.key != key.key:
            raise UseError(
                f"{shown_path(enrolment_path)!r} is of the gateway {grant.origin}",
                hint="tally grant --gateway LINE replaces the gateway for all its boards",
            )
    if grant is not None:
        # stops a file of another owner from giving our boards its gateway
        grant.signed.verify(owner.public)
    settings = Settings(*broker_address(broker), interval_ms=interval, batch=batch)
    checked = None if name is None else check_name(name)
    transport = VirtualBoard(virtual) if virtual is not None else SerialPort(port or "")
    try:
        console = Console(transport)
        terminal.talk(f"waiting for {transport.name}")
        console.wake()
        result = enrolling.enrol(
            console,
            enrolment,
            owner=owner,
            issuer=issuer,
            grant=grant,
            settings=settings,
            name=checked,
            valid_days=expires,
        )
        if transport.stays and settings.broker_host and enrolling.start(console):
            result.done.append("started")
    finally:
        transport.close()
    for line in result.done:
        terminal.talk(f"  {line}")
    for line in result.notes:
        terminal.warning(line)
    if not result.done:
        terminal.talk(f"{result.device.id} is enrolled already; nothing changed")
    if grant is None:
        terminal.warning("no gateway is granted yet: the board will keep all it signs")
        terminal.hint("tally grant --gateway LINE, or enrol again with --gateway LINE")
    if as_json:
        terminal.json_line(
            {
                "schema": 1,
                "id": result.device.id,
                "did": result.device.did,
                "name": result.device.name,
                "next": result.next,
                "gateway": None if grant is None else grant.key.kid.hex(),
                "changed": result.done,
                "notes": result.notes,
            }
        )
        return
    terminal.data(f"{result.device.id}  {result.device.did}  {result.device.name or '-'}")


def broker_address(text: str | None) -> tuple[str | None, int | None]:
    """Host and port of HOST:PORT; `UseError` if it is none."""
    if text is None:
        return None, None
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, "1883"
    if not host or any(c.isspace() or not c.isprintable() for c in host):
        raise UseError(f"{text!r} is not HOST:PORT")
    if not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65_535:
        raise UseError(f"{text!r} is not HOST:PORT: a port is a number from 1 to 65535")
    return host, int(port)
