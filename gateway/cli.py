"""`tally-gateway`: the field gateway as a command. stdout is data, stderr is talk; 2 is wrong use,
1 a failure.

Every option can come from the environment: TALLY_GATEWAY_RUN_BROKER for `run --broker`, and so on.
"""

from __future__ import annotations

import logging
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import structlog

from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick_gateway import fsck, proofs
from tallystick_gateway.anchors import LedgerKey
from tallystick_gateway.enrolment import Enrolment, EnrolmentError, EnrolmentFile
from tallystick_gateway.folder import Folder, FolderError, Identity
from tallystick_gateway.proofs import ProofError, Wanted
from tallystick_gateway.store import Store
from tallystick_gateway.tiles import Tiles

__all__ = ["main"]

_SECRET_BYTES = 4_096
T = TypeVar("T")

DIR = click.option(
    "--dir",
    "path",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The gateway's data folder.",
)


class _Complaint(click.ClickException):
    """One `error:` line, and a `hint:` line if there is something to do."""

    def __init__(self, detail: str, hint: str = "", status: int = 1) -> None:
        super().__init__(detail)
        self.hint = hint
        self.status = status

    @property
    def exit_code(self) -> int:  # type: ignore[override] # click's is a class variable
        """The exit status of the command."""
        return self.status

    def show(self, _file: Any = None) -> None:
        """On stderr."""
        click.echo(f"error: {self.message}", err=True)
        if self.hint:
            click.echo(f"hint: {self.hint}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tallystick", prog_name="tally-gateway")
def cli() -> None:
    """Take signed records in over MQTT, keep them in a Merkle log, anchor the log to a ledger."""


@cli.command()
@DIR
def init(path: Path) -> None:
    """Make the data folder and the gateway's key in it."""
    identity = _orderly(Folder(path).make_key)
    click.echo(f"made gateway {identity.id.hex()} in {str(path)!r}", err=True)


@cli.command()
@DIR
def identity(path: Path) -> None:
    """Print the line that names this gateway to a policy (a C2SP verifier key)."""
    click.echo(str(_orderly(Folder(path).identity).verifier))


@cli.command()
@DIR
@click.option("--broker", required=True, metavar="HOST:PORT", help="The MQTT broker.")
@click.option(
    "--ledger",
    required=True,
    metavar="VKEY",
    help="The line that `tally-ledger identity` prints; every receipt is checked with its key.",
)
@click.option("--http", metavar="HOST:PORT", help="Serve the read-only HTTP side. Default: none.")
@click.option(
    "--enrolment",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Which devices may speak. Read again when it is replaced, or on SIGHUP. Default: DIR/enrolment.json.",
)
@click.option(
    "--high-water",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The largest checkpoint ever signed. Keep it out of backups of DIR. Default: DIR.high-water, beside DIR.",
)
@click.option(
    "--anchor-interval",
    type=click.FloatRange(min=0.05),
    default=60.0,
    show_default=True,
    help="Seconds between anchors, if there is anything new.",
)
@click.option(
    "--checkpoint-interval",
    type=click.FloatRange(min=0.05),
    default=5.0,
    show_default=True,
    help="Seconds between checkpoints, if there is anything new.",
)
@click.option(
    "--settle",
    type=click.FloatRange(min=0.0),
    default=3.0,
    show_default=True,
    help="Seconds that the first signature after a start waits, from the broker's answer to the "
    "subscriptions on, for what the broker and the ledger hold of this gateway's own past: its "
    "retained checkpoint and its newest anchor (when both came, it waits no longer). What they show "
    "and the log does not contain freezes it: see new-log.",
)
@click.option("--user", help="Login at the broker.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the broker's password in its first line.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Speak TLS to the broker; its certificate must come from this authority.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the bearer token for entry bundles, which hold everybody's readings. Default: they are refused.",
)
def run(
    path: Path,
    broker: str,
    ledger: str,
    http: str | None,
    enrolment: Path | None,
    high_water: Path | None,
    anchor_interval: float,
    checkpoint_interval: float,
    settle: float,
    user: str | None,
    password_file: Path | None,
    ca_file: Path | None,
    token_file: Path | None,
) -> None:
    """Run the gateway in the foreground until SIGTERM or Ctrl-C."""
    from tallystick_gateway.mqtt import Broker, Login
    from tallystick_gateway.writer import Intervals, Writer, filters, last_will

    _log_json()
    folder = Folder(path)
    host, port = _address(broker, "--broker")
    serve_at = _address(http, "--http") if http else None
    try:
        ledger_key = LedgerKey(VerifierKey.parse(ledger))
    except TallystickError as error:
        raise _Complaint(f"--ledger: {error.detail}", error.hint, 2) from error
    password = _secret(password_file) if password_file else None
    token = _secret(token_file) if token_file else None
    own = _orderly(folder.identity)
    authority = str(ca_file) if ca_file else None
    client = f"tallystick-gateway-{own.id.hex()}"
    login = Login(host, port, client, user, password, authority)
    ended = threading.Event()
    with _held(folder):
        door = Broker(login, filters(own, ledger_key.id), last_will(own))
        writer = Writer(
            folder,
            own,
            ledger_key,
            door,
            Intervals(checkpoint_interval, anchor_interval, settle),
            enrolment=enrolment or folder.enrolment,
            high_water=high_water or folder.high_water,
        )
        _orderly(writer.open)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        signal.signal(signal.SIGHUP, lambda *_: writer.reload())
        server = None
        if serve_at is not None:
            from tallystick_gateway.http import Server, application

            server = Server(application(folder, own, writer, token=token), *serve_at)
            _orderly(server.start)
        writer.start()
        door.start()
        structlog.get_logger().info("running", gateway=own.id.hex(), origin=own.origin)
        while not ended.wait(0.5) and writer.is_alive():
            pass
        writer.stop()
        writer.join()
        door.stop()
        if server is not None:
            server.stop()
    if not ended.is_set():
        raise _Complaint("the writer has ended", "the log above says why")


@cli.command()
@DIR
@click.option("--device", required=True, metavar="ID", help="16 hex digits.")
@click.option("--seq", type=click.IntRange(min=0), help="The record with this seq.")
@click.option("--from", "first", type=click.IntRange(min=0), help="With --to: a range of seqs.")
@click.option("--to", "last", type=click.IntRange(min=0), help="With --from: a range of seqs.")
@click.option(
    "--time", "at", type=click.IntRange(min=0), help="The record that covers this Unix time."
)
@click.option(
    "--not-before",
    is_flag=True,
    help="Add the chain back to the newest ledger milestone that it names: the records are younger than that.",
)
@click.option(
    "--enrolment",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: DIR/enrolment.json.",
)
def proof(
    path: Path,
    device: str,
    seq: int | None,
    first: int | None,
    last: int | None,
    at: int | None,
    not_before: bool,
    enrolment: Path | None,
) -> None:
    """Write the .tally file of some records to stdout. Reads DIR only; the service may run or not."""
    if seq is not None:
        if first is not None or last is not None:
            raise _Complaint("give --seq, or --from and --to: not both", status=2)
        first = last = seq
    try:
        wanted = Wanted(first, last, at, not_before)
    except ProofError as error:
        raise _Complaint(error.detail, "give --seq, or --from and --to, or --time", 2) from error
    folder = Folder(path)
    name = _device(device)
    devices = _enrolled(enrolment or folder.enrolment).devices
    store = _orderly(lambda: Store.read(folder.database))
    data = _orderly(
        lambda: proofs.build(store, Tiles(folder.log, store.entries), devices, name, wanted)
    )
    if sys.stdout.isatty():
        raise _Complaint("not writing a binary file to a terminal", "add > FILE.tally", 2)
    sys.stdout.buffer.write(data)


@cli.command("fsck")
@DIR
def check(path: Path) -> None:
    """Compute every leaf hash, root, tile, checkpoint and chain again from the stored bytes."""
    folder = Folder(path)
    own = _orderly(folder.identity)
    store = _orderly(lambda: Store.read(folder.database))
    report = fsck.check(store, folder, own)
    for line in fsck.lines(report):
        click.echo(line)
    if report.wrong:
        raise _Complaint(f"{str(path)!r} is not what its records say", "restore it from a backup")


@cli.command("new-log")
@DIR
def new_log(path: Path) -> None:
    """Start a new log of all records, under a new key and origin.

    For a gateway that is frozen: its folder was restored from a backup, or has a twin. The old key
    and the old log's files go to DIR/old; proofs with anchors of the old log stay valid.
    Afterwards: the owner grants the new gateway, and policies trust its new line.
    """
    folder = Folder(path)
    before = _orderly(folder.identity)
    with _held(folder):
        after = _orderly(lambda: _renew(folder, before))
    click.echo(f"put away {before.origin}, made {after.origin}", err=True)
    click.echo("hint: grant the new gateway, and add its identity line to the policies", err=True)
    click.echo(str(after.verifier))


def main() -> None:
    """The entry point of `tally-gateway`."""
    cli(auto_envvar_prefix="TALLY_GATEWAY")


def _renew(folder: Folder, before: Identity) -> Identity:
    """The old key and tiles to DIR/old; the database keeps records and chains, and forgets that it
    is frozen.
    """
    away = folder.old / f"{before.id.hex()}-{int(time.time())}"
    away.mkdir(parents=True, mode=0o700)
    if folder.log.exists():
        folder.log.rename(away / "log")
    folder.key.rename(away / "gateway.key")
    after = folder.make_key()
    if folder.database.exists():
        store = Store.open(folder.database)
        store.set_fact("frozen", None)
        store.set_fact("origin", after.origin)
        store.close()
    return after


def _orderly(work: Callable[[], T]) -> T:
    """Do `work`; what can go wrong there ends the command with its two lines."""
    try:
        return work()
    except (FolderError, ProofError, TallystickError) as error:
        raise _Complaint(error.detail, error.hint) from error
    except (sqlite3.Error, OSError) as error:
        raise _Complaint(f"{type(error).__name__}: {error}") from error


def _log_json() -> None:
    """One JSON object a line on stderr."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@contextmanager
def _held(folder: Folder) -> Iterator[None]:
    with ExitStack() as held:
        _orderly(lambda: held.enter_context(folder.locked()))
        yield


def _address(text: str, option: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise _Complaint(f"{option}: {text!r} is not HOST:PORT", "for example 127.0.0.1:1883", 2)
    return host.removeprefix("[").removesuffix("]"), int(port)


def _secret(path: Path) -> str:
    """The first line of a file; nothing of it is ever shown."""
    with path.open("rb") as file:
        lines = file.read(_SECRET_BYTES).decode(errors="replace").splitlines()
    if not lines or not lines[0]:
        raise _Complaint(f"{str(path)!r} is empty", status=2)
    return lines[0]


def _device(text: str) -> bytes:
    try:
        name = bytes.fromhex(text)
    except ValueError:
        name = b""
    if len(name) != 8 or name.hex() != text:
        raise _Complaint(f"{text[:64]!r} is not a device id", "16 lower-case hex digits", 2)
    return name


def _enrolled(path: Path) -> Enrolment:
    file = EnrolmentFile(path)
    try:
        file.reload()
    except EnrolmentError as error:
        raise _Complaint(str(error)) from error
    return file.current
