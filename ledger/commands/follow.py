"""`tally-ledger follow`."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import click
import structlog

from tallystick.note import VerifierKey
from tallystick.policy import Log
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
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder
from tallystick_ledger.words import log_to_stderr

__all__ = ["command"]


@click.command("follow")
@DIR
@BROKER
@click.option(
    "--ledger",
    "line",
    required=True,
    metavar="LINE",
    help="The line that tally-ledger identity prints where the ledger runs.",
)
@HTTP
@USER
@PASSWORD_FILE
@CA_FILE
def command(
    folder: Path,
    broker: tuple[str, int],
    line: str,
    http: tuple[str, int] | None,
    user: str | None,
    password_file: Path | None,
    ca_file: Path | None,
) -> None:
    """Follow another node's ledger: check everything from its genesis on, serve reads, alarm at a fork.

    Needs no key, and nothing but the broker. DIR is made if it is not there.
    """
    from tallystick import topics
    from tallystick_ledger.following import Following, fetch_genesis, new_reply
    from tallystick_ledger.http import Server, application
    from tallystick_ledger.mqtt import Link, following

    door = login(broker, user, password_file, ca_file)
    key = VerifierKey.parse(line)
    ledger = Log(key).ledger
    log_to_stderr()
    log = structlog.get_logger("follower")
    stop = threading.Event()
    stop_on_signals(stop)
    place = Folder(folder)
    if place.signs:
        raise LedgerError(
            f"'{folder}' holds a ledger's own key", hint="tally-ledger run is for that"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    reply = new_reply()
    with ExitStack() as stack:
        stack.enter_context(place.locked())
        if place.database.exists() and place.identity() != key:
            raise LedgerError(f"'{folder}' is a copy of {place.identity().name}, not of {key.name}")
        link = Link(
            door,
            f"follow-{reply.hex()}",
            following(topics.Ledger(ledger), reply),
            session=False,
        )
        stack.enter_context(link)
        if not place.database.exists():
            genesis = fetch_genesis(link, ledger, reply, stop)
            if genesis is None:
                return
            place.adopt(genesis, key)
            log.info("genesis", ledger=ledger.hex())
        loop = Following(place.database, ledger, link, reply, stop)
        if http is not None:
            server = stack.enter_context(Server(application(place, lambda: link.connected), *http))
            log.info("http", host=http[0], port=server.port)
        writer = threading.Thread(target=loop.run, name="writer", daemon=True)
        writer.start()
        log.info("started", ledger=ledger.hex())
        join(writer, loop, stop)
        log.info("stopped", ledger=ledger.hex())
