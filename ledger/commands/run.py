"""`tally-ledger run`."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
import structlog

from tallystick_ledger.commands.options import (
    BROKER,
    CA_FILE,
    DIR,
    HTTP,
    PASSWORD_FILE,
    USER,
    login,
)
from tallystick_ledger.commands.service import join, stop_on_signals
from tallystick_ledger.folder import Folder
from tallystick_ledger.limits import STRANGER_RATE, WRITER_RATE
from tallystick_ledger.words import log_to_stderr

__all__ = ["command"]

_INTERVAL_S = 10.0
_DAY_S = 86_400


@click.command("run")
@DIR
@BROKER
@HTTP
@click.option(
    "--interval",
    type=click.FloatRange(0.05, 86_400),
    default=_INTERVAL_S,
    show_default=True,
    metavar="SECONDS",
    help="Time between milestones, also when idle: they are the clock of 'not before'.",
)
@click.option(
    "--writers",
    "allow_list",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Only these keys may write: a did:key or verifier key a line. Without it, anyone may.",
)
@click.option(
    "--writer-rate",
    type=click.FloatRange(0.1, 100_000),
    default=WRITER_RATE,
    show_default=True,
    metavar="N",
    help="Blocks a second of one known key: of the list, or of a gateway with a grant.",
)
@click.option(
    "--stranger-rate",
    type=click.FloatRange(0.1, 100_000),
    default=STRANGER_RATE,
    show_default=True,
    metavar="N",
    help="Blocks a second of all others together.",
)
@click.option(
    "--witness",
    "witness_lines",
    multiple=True,
    metavar="URL=KEY",
    help="Have checkpoints cosigned there (C2SP tlog-witness). May be given again.",
)
@click.option(
    "--keep-days",
    type=click.FloatRange(0, 36_500),
    metavar="DAYS",
    help="Prune blocks that were confirmed earlier. Without it, all are kept.",
)
@USER
@PASSWORD_FILE
@CA_FILE
def command(
    folder: Path,
    broker: tuple[str, int],
    http: tuple[str, int] | None,
    interval: float,
    allow_list: Path | None,
    writer_rate: float,
    stranger_rate: float,
    witness_lines: tuple[str, ...],
    keep_days: float | None,
    user: str | None,
    password_file: Path | None,
    ca_file: Path | None,
) -> None:
    """Run the ledger in the foreground until SIGTERM or SIGINT."""
    from tallystick_ledger import witnesses
    from tallystick_ledger.http import Server, application
    from tallystick_ledger.loop import Loop
    from tallystick_ledger.mqtt import Link
    from tallystick_ledger.node import Node
    from tallystick_ledger.writers import Writers, read_allow_list

    door = login(broker, user, password_file, ca_file)
    allowed = None if allow_list is None else read_allow_list(allow_list)
    writers = partial(Writers, allowed=allowed, rate=writer_rate, stranger_rate=stranger_rate)
    asked = [witnesses.parse(line) for line in witness_lines]
    log_to_stderr()
    log = structlog.get_logger("ledger")
    stop = threading.Event()
    stop_on_signals(stop)
    place = Folder(folder)
    with ExitStack() as stack:
        stack.enter_context(place.locked())
        key = place.key()
        ledger = place.ledger()
        link = Link.of_ledger(door, ledger)
        cosigners = stack.enter_context(witnesses.Witnesses(place.database, asked))
        loop = Loop(
            *(place.database, key, link, interval, stop),
            make_node=partial(Node, writers=writers),
            witnesses=cosigners if asked else None,
            keep_s=None if keep_days is None else keep_days * _DAY_S,
        )
        if http is not None:
            server = stack.enter_context(Server(application(place, lambda: link.connected), *http))
            log.info("http", host=http[0], port=server.port)
        stack.enter_context(link)
        writer = threading.Thread(target=loop.run, name="writer", daemon=True)
        writer.start()
        log.info(
            "started",
            ledger=ledger.hex(),
            interval_s=interval,
            writers="anyone" if allowed is None else len(allowed),
            witnesses=len(asked),
        )
        join(writer, loop, stop)
        log.info("stopped", ledger=ledger.hex())
