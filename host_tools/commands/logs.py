"""`tally logs`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick_host import boards, options, ports, tail, terminal
from tallystick_host.console import Console
from tallystick_host.errors import UseError
from tallystick_host.transport import SerialPort, VirtualBoard

__all__ = ["command"]


@click.command("logs")
@options.PORT
@options.VIRTUAL_THERE
@click.option("--seconds", type=click.FloatRange(0.1), help="End after that; else Ctrl-C ends it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(port: str | None, virtual: Path | None, seconds: float | None, as_json: bool) -> None:
    """Follow a board: a line whenever its state changes, and what it says by itself.

    \b
    tally logs --port auto
    """
    if port is not None and virtual is not None:
        raise UseError("one of --port and --virtual, not both")

    def say(line: str) -> None:
        if as_json:
            terminal.json_line({"schema": 1, "line": line})
        else:
            terminal.data(line)

    transport: SerialPort | VirtualBoard = (
        VirtualBoard(virtual)
        if virtual is not None
        else SerialPort(ports.choose(port or ports.AUTO, boards.load_all()))
    )
    try:
        console = Console(transport, heard=say)
        console.wake()
        tail.follow(console, say, seconds)
    finally:
        transport.close()
