"""`tally simulate`."""

from __future__ import annotations

import time
from pathlib import Path

import rich_click as click

from tallystick_host import limits, options, terminal
from tallystick_host.authority import Authority
from tallystick_host.enrol import Settings
from tallystick_host.errors import UseError
from tallystick_host.fleet import Fleet
from tallystick_host.home import Home

__all__ = ["command"]


@click.command("simulate")
@click.option("--devices", type=click.IntRange(1, limits.FLEET), required=True, metavar="N")
@click.option("--broker", required=True, metavar="HOST:PORT", help="PORT is 1883 if not given.")
@options.ENROLMENT
@options.GATEWAY
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("simulated"),
    show_default=True,
    help="Folder of the boards; those that are there are used again.",
)
@click.option(
    "--interval", type=click.IntRange(100), default=10_000, show_default=True, metavar="MS"
)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, metavar="N")
@click.option("--seconds", type=click.FloatRange(0), help="End after that; else Ctrl-C ends it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a board.")
@click.pass_obj
def command(
    home: Home,
    devices: int,
    broker: str,
    enrolment_path: Path,
    gateway: str | None,
    folder: Path,
    interval: int,
    batch: int,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Run a fleet of virtual boards against a broker: each with its own key, enrolled, measuring this computer.

    They are simulators and say so. When this command ends, however it does, all of them end.

    \b
    tally simulate --devices 50 --broker localhost --enrolment fleet.json --gateway "$(tally-gateway identity)"
    """
    host, port = options.broker_address(broker)
    if host is None:
        raise UseError("--broker is needed")
    who = Authority.load(home, enrolment_path, gateway)
    settings = Settings(host, port, interval_ms=interval, batch=batch)
    with Fleet(folder, enrolment_path, who, settings) as fleet:
        for device in fleet.start(devices):
            if as_json:
                terminal.json_line({"schema": 1, "id": device.id, "name": device.name})
            else:
                terminal.data(f"{device.id}  {device.name}")
        terminal.talk(f"{devices} virtual boards run; Ctrl-C ends them")
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            fleet.listen(0.5)
    terminal.talk("all boards have ended")
