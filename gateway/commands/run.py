"""`tally-gateway run`: the service, in the foreground."""

from __future__ import annotations

import os
import re
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
import structlog

from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick_gateway import console, settings
from tallystick_gateway.anchors import LedgerKey
from tallystick_gateway.console import DIR, Complaint, address, held, needed, orderly, secret
from tallystick_gateway.folder import Folder
from tallystick_gateway.logs import log_json
from tallystick_gateway.settings import setting

__all__ = ["command"]

_PUBLIC: Final = re.compile(r"https?://[^@\s]+")


@click.command("run")
@DIR
@setting(
    *("broker", "ledger", "http", "public-url", "enrolment", "high-water"),
    *("anchor-interval", "checkpoint-interval", "settle", "user", "password-file", "ca-file"),
    *("token-file", "readings-login", "device-metrics", "log-level", "adapter"),
)
@click.option(
    "--print-config",
    is_flag=True,
    help="Print every setting, where it came from, and nothing secret; then end.",
)
@click.pass_context
def command(
    ctx: click.Context,
    path: Path,
    broker: str | None,
    ledger: str | None,
    http: str | None,
    public_url: str | None,
    enrolment: Path | None,
    high_water: Path | None,
    anchor_interval: float,
    checkpoint_interval: float,
    settle: float,
    user: str | None,
    password_file: Path | None,
    ca_file: Path | None,
    token_file: Path | None,
    readings_login: bool,
    device_metrics: bool,
    log_level: str,
    adapter: tuple[str, ...],
    print_config: bool,
) -> None:
    """Run the gateway in the foreground until SIGTERM or Ctrl-C."""
    if print_config:
        click.echo(console.printed(ctx), nl=False)
        return
    from tallystick_gateway.adapters import AdapterError, load
    from tallystick_gateway.follower import Follower, gateway_facts
    from tallystick_gateway.mqtt import Broker, Login
    from tallystick_gateway.session import filters, last_will
    from tallystick_gateway.updates.carrier import Carrier
    from tallystick_gateway.updates.folder import UpdateFolder
    from tallystick_gateway.writer import Intervals, Writer

    log_json(log_level)
    for name in settings.strange(os.environ):
        structlog.get_logger().warning("there is no such setting", variable=name)
    folder = Folder(path)
    host, port = address(needed("broker", broker), "--broker")
    serve_at = address(http, "--http") if http else None
    try:
        ledger_key = LedgerKey(VerifierKey.parse(needed("ledger", ledger)))
    except TallystickError as error:
        raise Complaint(f"--ledger: {error.detail}", error.hint, 2) from error
    password = secret(password_file) if password_file else None
    token = secret(token_file) if token_file else None
    if readings_login and token is None:
        raise Complaint("readings-login needs a token", "give --token-file", 2)
    if public_url is not None and not _PUBLIC.fullmatch(public_url):
        raise Complaint("public-url starts with http:// or https://, and holds no login", status=2)
    own = orderly(folder.identity)
    wanted = {**{name: {} for name in adapter}, **ctx.meta.get(console.ADAPTERS, {})}
    try:
        adapters = load(gateway_facts(own.id, public_url), wanted)
    except AdapterError as error:
        raise Complaint(str(error), "docs/adapters.md says how they are named", 2) from error
    authority = console.authority(ca_file) if ca_file else None
    client = f"tallystick-gateway-{own.id.hex()}"
    login = Login(host, port, client, user, password, authority)
    second = replace(login, client_id=f"{client}-updates")
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
        updates = UpdateFolder(folder.updates)
        server = None
        if serve_at is not None:
            from tallystick_gateway.access import Access
            from tallystick_gateway.http import Server, application
            from tallystick_gateway.site import Site

            access = Access(token, readings_login=readings_login)
            site = Site(folder, own, writer, access, device_metrics, updates.kept)
            server = Server(application(site), *serve_at)
            orderly(server.start)
        writer.start()
        door.start()
        follower = Follower(folder, door, lambda: writer.enrolment.current.devices, adapters)
        if adapters:
            follower.start()
        carrier = Carrier(second, own.id, updates, lambda: writer.enrolment.current.devices)
        orderly(carrier.start)
        structlog.get_logger().info("running", gateway=own.id.hex(), origin=own.origin)
        while not ended.wait(0.5) and writer.is_alive():
            pass
        carrier.stop()
        if adapters:
            follower.stop()
        writer.stop()
        writer.join()
        door.stop()
        if server is not None:
            server.stop()
    if not ended.is_set():
        raise Complaint("the writer has ended", "the log above says why")
