"""`tally enrol`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick.keys import PublicKey
from tallystick_host import boards, options, terminal
from tallystick_host import enrol as enrolling
from tallystick_host.authority import Authority
from tallystick_host.console import Console
from tallystick_host.enrol import Settings
from tallystick_host.enrolment import Enrolment, check_name
from tallystick_host.home import Home
from tallystick_host.transport import SerialPort, VirtualBoard

__all__ = ["command"]


@click.command("enrol")
@options.together(
    options.ENROLMENT,
    options.PORT,
    options.VIRTUAL,
    options.BOARD,
    options.NAME,
    options.GATEWAY,
    options.BROKER,
    options.NO_LOGIN,
    options.UPDATE_KEY,
    options.INTERVAL,
    options.BATCH,
    options.EXPIRES,
    options.AS_JSON,
)
@click.pass_obj
def command(
    home: Home,
    enrolment_path: Path,
    port: str | None,
    virtual: Path | None,
    board_id: str | None,
    name: str | None,
    gateway: str | None,
    broker: str | None,
    no_login: bool,
    update_key: PublicKey | None,
    interval: int | None,
    batch: int | None,
    expires: int | None,
    as_json: bool,
) -> None:
    """Enrol one board: it proves its key, gets a credential, its owner and its gateway's grant.

    The key is made on the board and stays there. Enrolling a board again changes nothing that is right already. With
    --board the credential says what kind of board it is, which a policy may ask for.

    \b
    tally enrol --enrolment fleet.json --port /dev/ttyUSB0 --name cold-room-3 \\
                --gateway "$(tally-gateway identity)" --broker broker.local:1883
    tally enrol --enrolment fleet.json --virtual boards/one --broker localhost
    """
    board = None if board_id is None else boards.find(board_id)
    kind = boards.kind(board, virtual)
    port = options.one_board(port, virtual, board)
    who = Authority.load(home, enrolment_path, gateway)
    settings = Settings(
        *options.broker_address(broker), interval, batch, not no_login, update_key=update_key
    )
    checked = None if name is None else check_name(name)
    transport = VirtualBoard(virtual) if virtual is not None else SerialPort(port or "")
    try:
        console = Console(transport)
        terminal.talk(f"waiting for {transport.name}")
        console.wake()
        result = enrolling.enrol(
            console,
            Enrolment.load(enrolment_path, or_new=True),
            who,
            settings=settings,
            name=checked,
            valid_days=expires,
            kind=kind,
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
    if as_json:
        terminal.json_line(
            {
                "schema": 1,
                "id": result.device.id,
                "did": result.device.did,
                "name": result.device.name,
                "next": result.next,
                "gateway": None if who.grant is None else who.grant.key.kid.hex(),
                "changed": result.done,
                "notes": result.notes,
            }
        )
        return
    terminal.data(f"{result.device.id}  {result.device.did}  {result.device.name or '-'}")
