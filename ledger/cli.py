"""`tally-ledger`: make a ledger, name it, run it, check it.

stdout is data, stderr is talk. Exit status: 0 done, 1 it failed or fsck found damage, 2 wrong use, 130 interrupted.
Options can be given as environment variables: `TALLY_LEDGER_DIR`, and `TALLY_LEDGER_RUN_BROKER` for
`run --broker` and so on.
"""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import click
import structlog

from tallystick.errors import TallystickError
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder

__all__ = ["cli", "main"]

_INTERVAL_S = 10.0
_JOIN_S = 1.0


def _host_port(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, int] | None:
    """HOST:PORT, with an IPv6 address in brackets."""
    if value is None:
        return None
    host, _colon, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise click.BadParameter(f"'{value}' is not HOST:PORT")
    return host.strip("[]"), int(port)


_DIR = click.option(
    "--dir",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    envvar="TALLY_LEDGER_DIR",
    help="The ledger's folder.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The embedded ledger: blocks in over MQTT, milestones that prove them out."""


@cli.command()
@_DIR
@click.option("--name", default="tallystick", help="For people; stands in the genesis block.")
def init(folder: Path, name: str) -> None:
    """Make a new ledger: its key and its genesis block."""
    made = Folder(folder)
    made.create(name, int(time.time()))
    click.echo(f"ledger made in '{folder}': back up ledger.key, it is never made again", err=True)
    click.echo(str(made.identity()))


@cli.command()
@_DIR
def identity(folder: Path) -> None:
    """Print the line by which a policy trusts this ledger."""
    click.echo(str(Folder(folder).identity()))


@cli.command()
@_DIR
@click.option(
    "--broker", required=True, callback=_host_port, metavar="HOST:PORT", help="The MQTT broker."
)
@click.option(
    "--http", callback=_host_port, help="Serve the read-only HTTP side here; else not at all."
)
@click.option(
    "--interval",
    type=click.FloatRange(0.05, 86_400),
    default=_INTERVAL_S,
    show_default=True,
    metavar="SECONDS",
    help="Time between milestones, also when idle: they are the clock of 'not before'.",
)
@click.option("--user", help="Login at the broker.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File whose first line is the password.",
)
def run(
    folder: Path,
    broker: tuple[str, int],
    http: tuple[str, int] | None,
    interval: float,
    user: str | None,
    password_file: Path | None,
) -> None:
    """Run the ledger in the foreground until SIGTERM or SIGINT."""
    from tallystick_ledger.http import Server, application
    from tallystick_ledger.loop import Loop
    from tallystick_ledger.mqtt import Broker, Link

    if password_file is not None and user is None:
        raise click.UsageError("--password-file needs --user")
    _log_to_stderr()
    log = structlog.get_logger("ledger")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    place = Folder(folder)
    with ExitStack() as stack:
        stack.enter_context(place.locked())
        key = place.key()
        ledger = place.ledger()
        link = Link(Broker(*broker, user, _password(password_file)), ledger)
        loop = Loop(place.database, key, link, interval, stop)
        if http is not None:
            server = stack.enter_context(Server(application(place, lambda: link.connected), *http))
            log.info("http", host=http[0], port=server.port)
        stack.enter_context(link)
        writer = threading.Thread(target=loop.run, name="writer", daemon=True)
        writer.start()
        log.info("started", ledger=ledger.hex(), interval_s=interval)
        stop.wait()
        writer.join(_JOIN_S)
        # a writer that is still at work is ended with the process, as any power cut would
        if not writer.is_alive() and loop.error is not None:
            raise loop.error
        log.info("stopped", ledger=ledger.hex())


@cli.command()
@_DIR
def fsck(folder: Path) -> None:
    """Derive everything again from the stored blocks; exit status 1 if something differs."""
    from tallystick_ledger.fsck import check

    place = Folder(folder)
    report = check(place.database)
    for line in report.damage:
        click.echo(f"damage: {line}")
    click.echo(
        f"{'damaged' if report.damage else 'ok'}: {report.blocks} blocks, {report.confirmed} confirmed,"
        f" {report.milestones} milestones"
    )
    if report.damage:
        raise LedgerError(
            f"'{folder}' is damaged in {len(report.damage)} places",
            hint="stop the ledger and restore the newest sound copy of the folder",
        )


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


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text().split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError):
        # the cause is left out: it may quote the password
        raise LedgerError(f"cannot read the password in '{path}'") from None


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
