"""`tally devices`."""

from __future__ import annotations

import rich_click as click

from tallystick_host import boards, ports, terminal
from tallystick_host.words import columns

__all__ = ["command"]


@click.command("devices")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a port.")
def command(as_json: bool) -> None:
    """List the serial ports on USB, and which boards may be at them.

    Says why a port cannot be opened. The bridge on a board is known, not the board: several may fit.

    \b
    tally devices
    tally flash --port u0          short for /dev/ttyUSB0; a0 is /dev/ttyACM0, c5 is COM5
    tally flash --port id:0123ABCD the board with that USB serial number
    """
    found = ports.listed(boards.load_all())
    if as_json:
        for port in found:
            terminal.json_line({"schema": 1, **port.facts()})
    elif found:
        rows = [("port", "usb", "serial", "may be", "trouble")]
        rows += [
            (
                port.name,
                port.usb,
                port.serial or "-",
                " ".join(port.boards) or "no board that we know",
                port.trouble,
            )
            for port in found
        ]
        for line in columns(rows):
            terminal.data(line)
    if not found:
        terminal.talk("no serial port on USB")
        terminal.hint("is the board plugged in, with a cable that carries data? some only charge")
    if any(port.trouble for port in found):
        terminal.hint(ports.PERMISSION_HINT)
