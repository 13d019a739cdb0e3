"""`tally`: the command line as a whole. Commands are imported when they are called.

The program starts in `tallystick_host.start`, which comes here for all but the plain forms of `tally verify`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final

import rich_click as click

from tallystick_host import exits, terminal
from tallystick_host.home import Home, default

__all__ = ["main", "tally"]

_COMMANDS: Final = (
    *(
        "init",
        "policy",
        "boards",
        "devices",
        "firmware",
        "flash",
        "provision",
        "up",
        "enrol",
        "grant",
    ),
    *(
        "prove",
        "verify",
        "upgrade",
        "report",
        "page",
        "export",
        "inspect",
        "issuer",
        "credential",
        "device",
    ),
    "ledger",
    "update",
    *("logs", "doctor", "simulate"),
)


class _Commands(click.RichGroup):
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
        module = importlib.import_module(f"tallystick_host.commands.{cmd_name}")
        command: click.Command = module.command
        return command


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        terminal.data(f"tally {version('tallystick')}")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    envvar="TALLY_HOME",
    help="Folder of keys and policy. Default: the user's configuration folder. [env: TALLY_HOME]",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Version."
)
@click.pass_context
def tally(ctx: click.Context, home: Path | None) -> None:
    """Enrol boards, fetch proofs of their readings, verify them.

    \b
    tally init                              keys and a policy
    tally policy trust gateway LINE         whom to trust
    tally enrol --enrolment fleet.json --port /dev/ttyUSB0
    tally prove cold-room-3 2026-11-20T14:00:00Z --gateway http://gateway:8080
    tally verify reading.tally

    Exit status: 0 VERIFIED or done, 1 TAMPERED or refused, 2 wrong use, 3 PENDING, 4 UNTRUSTED, 5 UNDECIDED or could
    not be done, 130 interrupted.

    Completion for bash: eval "$(_TALLY_COMPLETE=bash_source tally)"; zsh_source and fish_source likewise.
    """
    ctx.obj = Home(home or default())


def main(args: list[str] | None = None) -> int:
    """Run `tally`; the exit status."""
    try:
        status = tally.main(args, prog_name="tally", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.UsageError as error:
        message = " ".join(error.format_message().split()).removesuffix(".")
        terminal.error(message[:1].lower() + message[1:])
        path = error.ctx.command_path if error.ctx else "tally"
        terminal.hint(f"{path} --help")
        return exits.EXIT_USE
    except click.ClickException as error:
        terminal.error(error.format_message())
        return exits.EXIT_USE
    except click.Abort:
        return exits.explain(KeyboardInterrupt())
    except exits.ENDINGS as error:
        return exits.explain(error)
