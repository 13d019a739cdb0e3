"""`tally-gateway backup`: a consistent copy, while the service runs."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick_gateway.backup import backup
from tallystick_gateway.console import DIR, orderly
from tallystick_gateway.folder import Folder
from tallystick_gateway.talk import JSON, progress, say

__all__ = ["command"]


@click.command("backup")
@DIR
@JSON
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
def command(path: Path, as_json: bool, target: Path) -> None:
    """Copy the database, the key, the enrolment and the update files to TARGET, a new folder. The service may
    run.

    The copy holds the private key: guard it as you guard the gateway. Leave the high-water file out of
    every backup: it is what tells a restored gateway that it is old.
    """
    with progress("copying") as moved:
        copied = orderly(lambda: backup(Folder(path), target, moved))
    say(
        as_json,
        {"origin": copied.origin, "size": copied.size, "signed": copied.signed},
        f"{copied.size} records of {copied.origin}, {copied.signed} of them signed for",
    )
