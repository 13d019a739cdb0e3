"""`tally-gateway identity`: the line that policies trust."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick_gateway.console import DIR, orderly
from tallystick_gateway.folder import Folder

__all__ = ["command"]


@click.command("identity")
@DIR
def command(path: Path) -> None:
    """Print the line that names this gateway to a policy (a C2SP verifier key)."""
    click.echo(str(orderly(Folder(path).identity).verifier))
