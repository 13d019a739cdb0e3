"""`tally devices`."""

from __future__ import annotations

import rich_click as click

from tallystick_host import boards, gateway_boards, options, ports, terminal
from tallystick_host.words import columns

__all__ = ["command"]


@click.command("devices")
@options.GATEWAY_URL
@options.AS_JSON
def command(gateway_url: str | None, as_json: bool) -> None:
    """List the serial ports on USB, and which boards may be at them; with --gateway-url, that gateway's boards, too.

    Says why a port cannot be opened. The bridge on a board is known, not the board: several may fit.

    \b
    tally devices
    tally devices --gateway-url http://gateway.local:8080
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
    if gateway_url is not None:
        _gateway(gateway_url, as_json=as_json)


def _gateway(url: str, *, as_json: bool) -> None:
    known = list(gateway_boards.listed(url))
    if as_json:
        for board in known:
            terminal.json_line({"schema": 1, **board.facts()})
    elif known:
        rows = [("id", "name", "heard last", "trouble"), *(board.row() for board in known)]
        for line in columns(rows):
            terminal.data(line)
    if not known:
        terminal.talk("the gateway knows no boards")
        terminal.hint("tally provision --enrolment FILE, the file that the gateway reads")
