"""`tally-ledger run`."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from pathlib import Path

import click
import structlog

from tallystick_ledger.commands.options import BROKER, DIR, HTTP, PASSWORD_FILE, USER, password
from tallystick_ledger.folder import Folder
from tallystick_ledger.words import log_to_stderr

__all__ = ["command"]

_INTERVAL_S = 10.0
_JOIN_S = 1.0


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
@USER
@PASSWORD_FILE
def command(
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

    login = Broker(*broker, user, password(password_file, user))
    log_to_stderr()
    log = structlog.get_logger("ledger")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    place = Folder(folder)
    with ExitStack() as stack:
        stack.enter_context(place.locked())
        key = place.key()
        ledger = place.ledger()
        link = Link(login, ledger)
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
