"""`tally-ledger identity`."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick_ledger.commands.options import DIR
from tallystick_ledger.folder import Folder

__all__ = ["command"]


@click.command("identity")
@DIR
def command(folder: Path) -> None:
    """Print the line by which a policy trusts this ledger."""
    click.echo(str(Folder(folder).identity()))
