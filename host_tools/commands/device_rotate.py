"""`tally device rotate`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick import did
from tallystick_host import options, rotating, terminal
from tallystick_host.console import Console
from tallystick_host.named import named
from tallystick_host.transport import SerialPort, VirtualBoard

__all__ = ["rotate"]


@click.command("rotate")
@click.argument("device")
@options.PORT
@options.VIRTUAL
@options.FIND
@options.AS_JSON
def rotate(
    device: str,
    port: str | None,
    virtual: Path | None,
    enrolment_path: Path | None,
    as_json: bool,
) -> None:
    """Have DEVICE, connected here, make another key. It stays the same device, with the same id and DID.

    The rotation stands in its chain, and proofs carry it: nobody else needs to be told. The old key is overwritten, and
    never comes back.

    \b
    tally device rotate cold-room-3 --enrolment fleet.json --port /dev/ttyUSB0
    """
    port = options.one_board(port, virtual)
    id = named(device, enrolment_path).id
    transport = VirtualBoard(virtual) if virtual is not None else SerialPort(port or "")
    try:
        console = Console(transport)
        terminal.talk(f"waiting for {transport.name}")
        console.wake()
        done = rotating.rotate(console, id)
    finally:
        transport.close()
    name = did.did_key(done.now)
    terminal.talk("the gateway takes the new key from the chain; nothing else is to be done")
    if as_json:
        facts = {"id": id, "before": did.did_key(done.before), "in_force": name, "next": done.next}
        terminal.json_line({"schema": 1, **facts})
        return
    terminal.data(f"{id}  {name}")
