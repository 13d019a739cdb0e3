"""`tally-ledger init`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tallystick_ledger.commands.options import DIR
from tallystick_ledger.folder import Folder

__all__ = ["command"]


@click.command("init")
@DIR
@click.option("--name", default="tallystick", help="For people; stands in the genesis block.")
def command(folder: Path, name: str) -> None:
    """Make a new ledger: its key and its genesis block."""
    made = Folder(folder)
    made.create(name, int(time.time()))
    click.echo(f"ledger made in '{folder}': back up ledger.key, it is never made again", err=True)
    click.echo(str(made.identity()))
