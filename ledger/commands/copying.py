"""The two commands that copy a ledger into one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from tallystick_ledger.commands.options import DIR
from tallystick_ledger.copies import Step
from tallystick_ledger.folder import Folder
from tallystick_ledger.words import progress

__all__ = ["copying"]


def copying(name: str, words: str, make: Callable[[Path, Path, Step], None]) -> click.Command:
    """The command `name` with the help `words`, which makes FILE out of a database."""

    @click.command(name, help=words)
    @DIR
    @click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
    def command(folder: Path, target: Path) -> None:
        with progress("copying pages") as step:
            make(Folder(folder).database, target, step)
        click.echo(str(target))

    return command
