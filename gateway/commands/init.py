"""`tally-gateway init`: a data folder and a key."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick_gateway.console import DIR, orderly
from tallystick_gateway.folder import Folder

__all__ = ["command"]


@click.command("init")
@DIR
def command(path: Path) -> None:
    """Make the data folder and the gateway's key in it."""
    identity = orderly(Folder(path).make_key)
    click.echo(f"made gateway {identity.id.hex()} in {str(path)!r}", err=True)
