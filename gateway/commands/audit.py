"""`tally-gateway audit`: watch a log that nobody needs to trust."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Self

import click
import structlog

from tallystick.errors import TallystickError
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey
from tallystick_gateway.audit import Found, Look, look
from tallystick_gateway.console import Complaint, address, orderly
from tallystick_gateway.folder import PRIVATE_MODE, Folder
from tallystick_gateway.logs import log_json
from tallystick_gateway.talk import JSON, say
from tallystick_gateway.tlog import Source, UnreachableError, open_source
from tallystick_gateway.witness import Witness

__all__ = ["command"]

_EXIT = {Look.GREW: 0, Look.SAME: 0, Look.FORK: 1, Look.INVALID: 1, Look.OLDER: 1}
_UNDECIDED = 5
_DEFAULT_INTERVAL_S = 60.0


@click.command("audit")
@click.argument("log")
@click.option(
    "--key",
    required=True,
    metavar="VKEY",
    help="The log's line: `tally-gateway identity` there, or the verifier key of any C2SP log.",
)
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="What was seen, the evidence of forks, and the witness key that is made in it.",
)
@click.option("--name", help="The name that cosigns. Default: tallystick-witness/<id of its key>.")
@click.option("--once", is_flag=True, help="Look once, print what was found, and end.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=_DEFAULT_INTERVAL_S,
    show_default=True,
    help="Seconds between looks.",
)
@click.option(
    "--serve",
    metavar="HOST:PORT",
    help="Serve the C2SP witness interface: POST /add-checkpoint, GET /<origin hash>/checkpoint.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The authority of the log's certificate. Default: those of the system.",
)
@JSON
def command(
    log: str,
    key: str,
    state: Path,
    name: str | None,
    once: bool,
    interval: float,
    serve: str | None,
    ca_file: Path | None,
    as_json: bool,
) -> None:
    """Follow LOG (a URL prefix, a folder of tiles, or a gateway's data folder) and cosign its growth.

    Each look checks that the log's signed tree contains the one that was seen before, and keeps the
    checkpoint with a cosignature. A fork is kept with both signed notes, and nothing of that log is
    cosigned again. Exit status of --once: 0 it grew or is the same, 1 it is not what it was, 5 it could
    not be looked at.
    """
    log_json()
    try:
        trusted = VerifierKey.parse(key)
    except TallystickError as error:
        raise Complaint(f"--key: {error.detail}", error.hint, 2) from error
    serve_at = address(serve, "--serve") if serve else None
    try:
        source = open_source(log, str(ca_file) if ca_file else None)
    except UnreachableError as error:
        raise Complaint(str(error), status=2) from error
    with orderly(lambda: _State(state)) as held:
        signing = orderly(held.key)
        own = name or f"tallystick-witness/{signing.public.kid.hex()}"
        witness = orderly(lambda: Witness(state, [trusted], own, signing))
        click.echo(f"cosigns as {witness.verifier}", err=True)
        if once:
            found = orderly(lambda: look(source, trusted, witness, int(time.time())))
            _tell(found, as_json)
            raise SystemExit(_EXIT.get(found.look, _UNDECIDED))
        _follow(source, trusted, witness, interval, serve_at, as_json)


class _State:
    """The state folder, held for one process."""

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._lock = Folder(path).locked()

    def __enter__(self) -> Self:
        orderly(self._lock.__enter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.__exit__(None, None, None)

    def key(self) -> PrivateKey:
        """The witness key; made at the first start."""
        path = self._path / "witness.key"
        if path.exists():
            return PrivateKey.from_pem(path.read_bytes())
        made = PrivateKey.generate()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(made.to_pem())
            file.flush()
            os.fsync(file.fileno())
        return made


def _follow(
    source: Source,
    trusted: VerifierKey,
    witness: Witness,
    interval: float,
    serve_at: tuple[str, int] | None,
    as_json: bool,
) -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = None
    if serve_at is not None:
        from tallystick_gateway.http import Server
        from tallystick_gateway.witness_http import application

        server = Server(application(witness), *serve_at)
        orderly(server.start)
    words = structlog.get_logger()
    last = None
    while not ended.is_set():
        found = orderly(lambda: look(source, trusted, witness, int(time.time())))
        facts = _facts(found)
        if found.look is Look.FORK:
            words.error("FORK: the log has signed two histories", **facts)
        elif not found.good:
            words.warning("audit", **facts)
        elif found.look is Look.GREW:
            words.info("audit", **facts)
        if (found.look, found.size) != last:
            last = (found.look, found.size)
            _tell(found, as_json)
        ended.wait(interval)
    if server is not None:
        server.stop()


def _facts(found: Found) -> dict[str, object]:
    return {
        "look": found.look.value,
        "detail": found.detail,
        "size": found.size,
        "before": found.before,
        "evidence": str(found.evidence) if found.evidence else None,
    }


def _tell(found: Found, as_json: bool) -> None:
    line = f"{found.look.value}: {found.detail}"
    if found.size is not None and found.good:
        line += f", size {found.size}"
    say(as_json, _facts(found) | {"cosignature": found.line}, line)
    if found.evidence is not None:
        click.echo(
            f"error: FORK: two notes of one key that contradict each other: {found.evidence}",
            err=True,
        )
        click.echo(
            "hint: show both to everyone who trusts this log; nothing of it is cosigned again",
            err=True,
        )
