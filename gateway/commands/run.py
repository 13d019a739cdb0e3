"""`tally-gateway run`: the service, in the foreground."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click
import structlog

from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick_gateway.anchors import LedgerKey
from tallystick_gateway.console import DIR, Complaint, address, held, orderly, secret
from tallystick_gateway.folder import Folder
from tallystick_gateway.logs import log_json

__all__ = ["command"]


@click.command("run")
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
def command(
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

    log_json()
    folder = Folder(path)
    host, port = address(broker, "--broker")
    serve_at = address(http, "--http") if http else None
    try:
        ledger_key = LedgerKey(VerifierKey.parse(ledger))
    except TallystickError as error:
        raise Complaint(f"--ledger: {error.detail}", error.hint, 2) from error
    password = secret(password_file) if password_file else None
    token = secret(token_file) if token_file else None
    own = orderly(folder.identity)
    authority = str(ca_file) if ca_file else None
    client = f"tallystick-gateway-{own.id.hex()}"
    login = Login(host, port, client, user, password, authority)
    ended = threading.Event()
    with held(folder):
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
        orderly(writer.open)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        signal.signal(signal.SIGHUP, lambda *_: writer.reload())
        server = None
        if serve_at is not None:
            from tallystick_gateway.http import Server, application

            server = Server(application(folder, own, writer, token=token), *serve_at)
            orderly(server.start)
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
        raise Complaint("the writer has ended", "the log above says why")
