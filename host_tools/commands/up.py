"""`tally up`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import rich_click as click

from tallystick import policy
from tallystick_host import files, limits, ports, provisioning, tail, terminal
from tallystick_host.authority import Authority
from tallystick_host.commands.firmware import firmware_option, images_option
from tallystick_host.commands.flash import flash_board
from tallystick_host.commands.provision import common_options, shown_result, wish_of
from tallystick_host.console import Console
from tallystick_host.errors import UseError
from tallystick_host.home import Home
from tallystick_host.provisioning import Provisioned
from tallystick_host.stages import Stages

__all__ = ["command"]


@click.command("up")
@common_options
@firmware_option
@images_option
@click.option("--no-flash", is_flag=True, help="The board has its MicroPython already.")
@click.option(
    "--once", is_flag=True, help="End after the first record; else the log runs until Ctrl-C."
)
@click.option("--json", "as_json", is_flag=True, help="Facts as JSON objects.")
@click.pass_obj
def command(
    home: Home,
    /,
    firmware: Path | None,
    images: Path | None,
    no_flash: bool,
    once: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """From a bare board to a trusted device: flash, provision, then its log.

    With --gateway-url it waits for the first record that your policy calls VERIFIED. A virtual board has nothing to
    flash, and runs as long as this command does.

    \b
    tally up --port auto --enrolment fleet.json --name tank-7 --wifi Shed --broker broker.local:1883 \\
             --gateway "$(tally-gateway identity)" --gateway-url http://gateway.local:8080
    tally up --virtual boards/one --enrolment fleet.json --broker localhost
    """
    wish = wish_of(given)
    who = Authority.load(home, given["enrolment_path"], given["gateway"])
    trusted = None
    if given["gateway_url"] is not None:
        if not home.policy_path.exists():
            raise UseError("no policy yet", hint="tally init makes one")
        trusted = policy.parse(files.read(home.policy_path, limits.GRANTS_BYTES))
    stages = Stages()
    if wish.port is not None and not no_flash:
        facts = flash_board(wish.port, given["board_id"], firmware, images, stages)
        if given["port"] in (None, ports.AUTO):
            # a board whose USB is the chip's own may come back under another name
            wish = replace(wish, port=wish_of(given).port)
        wish = replace(wish, kind=str(facts["board"]))
        terminal.talk(f"  MicroPython {facts['version']}: {facts['was']}")

    def keep(console: Console, done: Provisioned) -> None:
        shown_result(done, as_json=as_json, qr=False)
        device = done.enrolled.device
        if trusted is not None and done.record is not None and given["gateway_url"]:
            stages.say("verifying", f"record {done.record}")
            status = tail.first_verified(given["gateway_url"], device.id, done.record, trusted)
            if as_json:
                terminal.json_line(
                    {"schema": 1, "id": device.id, "seq": done.record, "status": status}
                )
            else:
                terminal.data(f"{device.id}  seq {done.record}  {terminal.styled(status)}")
        if not once:
            terminal.talk(
                "its log; Ctrl-C ends it, the board runs on"
                if wish.port
                else "its log; Ctrl-C ends the virtual board, too"
            )
            tail.follow(console, terminal.data, None)

    provisioning.provision(wish, who, stages, keep, terminal.talk)
