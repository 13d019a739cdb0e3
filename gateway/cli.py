"""`tally-gateway`: the field gateway as a command. stdout is data, stderr is talk; 2 is wrong use,
1 a failure, 130 stopped by Ctrl-C.

Commands are imported when they are called; `settings` says where their settings may come from.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

from tallystick_gateway import console

__all__ = ["cli", "main"]

_COMMANDS: Final = (
    *("init", "identity", "run", "proof", "export", "command"),
    *("fsck", "backup", "restore", "new-log", "audit", "broker-config"),
)


class _Commands(click.Group):
    """Knows the names of its commands and imports `commands.<name>` when one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = importlib.import_module(
            f"tallystick_gateway.commands.{name}"
        ).command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tallystick", prog_name="tally-gateway")
def cli() -> None:
    """Take signed records in over MQTT, keep them in a Merkle log, anchor the log to a ledger."""


def main() -> None:
    """The entry point of `tally-gateway`."""
    try:
        status = cli.main(prog_name="tally-gateway", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("error: interrupted", err=True)
        status = console.EXIT_INTERRUPTED
    sys.exit(status if isinstance(status, int) else 0)
