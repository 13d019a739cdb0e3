"""`tally doctor`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from tallystick_host import boards, diagnosis, options, ports, terminal
from tallystick_host.diagnosis import Site
from tallystick_host.errors import UseError
from tallystick_host.home import Home

__all__ = ["command"]

_COLOURS = {diagnosis.GOOD: "green", diagnosis.TROUBLE: "red", diagnosis.SKIPPED: "yellow"}


@click.command("doctor")
@options.PORT
@options.VIRTUAL_THERE
@click.option("--no-board", is_flag=True, help="Look at no board.")
@click.option("--board", "board_id", help="Which board it should be.")
@options.FIND
@options.BROKER
@options.GATEWAY_URL
@click.option("--json", "as_json", is_flag=True, help="One JSON object a check.")
@click.pass_obj
def command(
    home: Home,
    port: str | None,
    virtual: Path | None,
    no_board: bool,
    board_id: str | None,
    enrolment_path: Path | None,
    broker: str | None,
    gateway_url: str | None,
    as_json: bool,
) -> int:
    """Look for every known trouble: what one sees, then what to do. Changes nothing.

    Exit status 0 if all that was looked at is well, 1 if not.

    \b
    tally doctor --enrolment fleet.json --broker broker.local --gateway-url http://gateway.local:8080
    """
    if (port is not None) + (virtual is not None) + no_board > 1:
        raise UseError("one of --port, --virtual and --no-board")
    host, number = options.broker_address(broker)
    site = Site(
        home,
        port=None if no_board or virtual is not None else port or ports.AUTO,
        virtual=virtual,
        board=None if board_id is None else boards.find(board_id),
        enrolment_path=enrolment_path,
        broker=None if host is None or number is None else (host, number),
        gateway_url=gateway_url,
    )
    troubles = 0
    for finding in diagnosis.look(site):
        troubles += finding.result == diagnosis.TROUBLE
        if as_json:
            terminal.json_line({"schema": 1, **finding.facts()})
            continue
        word = terminal.styled(finding.result.ljust(7), _COLOURS[finding.result])
        terminal.data(f"{word}  {finding.symptom} ({finding.code})")
        if finding.remedy:
            terminal.data(f"         -> {finding.remedy}")
    return 1 if troubles else 0
