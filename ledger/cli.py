"""`tally-ledger`: the command line as a whole; each command is a module of `commands`, imported when it is called.

stdout is data, stderr is talk. Exit status: 0 done, 1 it failed or fsck found damage, 2 wrong use, 130 interrupted.
Options can be given as environment variables: `TALLY_LEDGER_DIR`, and `TALLY_LEDGER_RUN_BROKER` for
`run --broker` and so on.
"""

from __future__ import annotations

import importlib
import sqlite3
import sys
from typing import Final, NoReturn

import click

from tallystick.errors import TallystickError
from tallystick_ledger.errors import LedgerError

__all__ = ["cli", "main"]

# in the order of --help; `commands/<name>.py` holds `command`
_COMMANDS: Final = (
    *("init", "identity", "run", "follow"),
    *("fsck", "backup", "snapshot", "restore", "prune", "bridge"),
)


class _Commands(click.Group):
    """Knows the names of its commands and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"tallystick_ledger.commands.{cmd_name}")
        command: click.Command = module.command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The embedded ledger: blocks in over MQTT, milestones that prove them out."""


def main() -> NoReturn:
    """Entry point; errors become `error:` and `hint:` lines."""
    try:
        cli.main(standalone_mode=False, auto_envvar_prefix="TALLY_LEDGER")
        status = 0
    except click.ClickException as error:
        text = error.format_message().rstrip(".")
        status = _fail(text[:1].lower() + text[1:], "run tally-ledger --help", 2)
    except (KeyboardInterrupt, click.Abort):
        status = 130
    except LedgerError as error:
        status = _fail(error.detail, error.hint, 1)
    except TallystickError as error:
        status = _fail(error.detail, error.hint, 1)
    except sqlite3.Error as error:
        status = _fail(f"the database fails: {error}", "run tally-ledger fsck --dir DIR", 1)
    sys.exit(status)


def _fail(detail: str, hint: str, status: int) -> int:
    click.echo(f"error: {detail}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    return status
