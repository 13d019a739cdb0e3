"""`tally-gateway broker-config`: mosquitto's files from the enrolment."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick_gateway import authority, broker_files, console
from tallystick_gateway.anchors import LedgerKey
from tallystick_gateway.authority import Pair
from tallystick_gateway.broker_files import Broker, Roles
from tallystick_gateway.console import DIR, Complaint, enrolled, orderly
from tallystick_gateway.folder import PRIVATE_MODE, Folder, write_whole
from tallystick_gateway.settings import setting

__all__ = ["command"]

_PASSWORD_BYTES: Final = 20


@click.command("broker-config")
@DIR
@setting("enrolment", "ledger")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for mosquitto.conf, passwords, acl, certificates, and logins/ with a password a file.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A name or address under which boards reach the broker: makes an authority and a certificate."
    " May be given more than once.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The broker's certificate, if you have one. With --private-key, instead of --host.",
)
@click.option("--private-key", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--port", type=click.IntRange(1, 65_535), default=8_883, show_default=True)
@click.option(
    "--local",
    default="127.0.0.1:1883",
    show_default=True,
    metavar="HOST:PORT",
    help="A listener without TLS for services on the same machine; `none` for none.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/var/lib/mosquitto"),
    show_default=True,
    help="Where mosquitto keeps what waits; its own user must be able to write there.",
)
@click.option(
    "--prefix",
    "prefixes",
    multiple=True,
    metavar="TOPIC",
    help="What adapters publish below, for example homeassistant. May be given more than once.",
)
@click.option("--renew", multiple=True, metavar="LOGIN", help="Make a new password for this login.")
@click.option(
    "--owner",
    metavar="USER",
    help="Give what mosquitto reads to the user that it runs as. Default: files stay yours, and it"
    " must run as you or as root.",
)
def command(
    path: Path,
    enrolment: Path | None,
    ledger: str | None,
    out: Path,
    hosts: tuple[str, ...],
    certificate: Path | None,
    private_key: Path | None,
    port: int,
    local: str,
    state: Path,
    prefixes: tuple[str, ...],
    renew: tuple[str, ...],
    owner: str | None,
) -> None:
    """Write mosquitto's configuration, passwords and access list for everybody who is enrolled.

    \b
    tally-gateway broker-config --dir DIR --ledger VKEY --out /etc/mosquitto/tallystick --host gw.local
    tally provision --login ID --login-password-file /etc/mosquitto/tallystick/logins/ID

    A board that got its login at provisioning has its password already; the enrolment has the hash.
    Run it again after each enrolment, then send mosquitto SIGHUP: passwords that were made stay, those
    of devices that are enrolled no more go. A file in logins/ may be deleted once it was used.
    """
    folder = Folder(path)
    own = orderly(folder.identity)
    if (certificate is None) != (private_key is None) or (certificate and hosts):
        raise Complaint("give --certificate with --private-key, or --host", status=console.EXIT_USE)
    if not hosts and certificate is None and local == "none":
        raise Complaint("nobody could connect", "give --host, or --local", console.EXIT_USE)
    for one in prefixes:
        if not one or set("+#\0 \n") & set(one) or one.startswith(("$", "/", "tallystick")):
            raise Complaint(f"{one!r} is no prefix of topics", status=console.EXIT_USE)
    devices = enrolled(enrolment or folder.enrolment).devices
    roles = Roles(own.id.hex(), _ledger(ledger), prefixes)
    out = out.resolve()
    if hosts:
        certificate, private_key = orderly(lambda: _certificates(out, hosts))
    broker = Broker(
        out,
        len(devices),
        port,
        certificate.resolve() if certificate else None,
        private_key.resolve() if private_key else None,
        None if local == "none" else console.address(local, "--local"),
        state,
    )
    names = [*roles.names.values(), *(device.hex() for device in devices)]
    made = {device.id.hex(): device.login for device in devices.values() if device.login}
    for login in renew:
        if login in made:
            raise Complaint(
                f"the login {login} was made when the board was provisioned",
                "to have it here: tally provision --login ID --login-password-file FILE",
                console.EXIT_USE,
            )
        if login not in names:
            raise Complaint(f"{login!r} is no login here", status=console.EXIT_USE)
    fresh, gone = orderly(lambda: _logins(out, names, set(renew), made))
    orderly(lambda: write_whole(out / "acl", broker_files.access(roles).encode()))
    text = broker_files.configuration(broker)
    orderly(lambda: write_whole(out / "mosquitto.conf", text.encode()))
    if owner is not None:
        orderly(lambda: _give(out, owner))
    click.echo(f"{len(devices)} devices, {fresh} new passwords, {gone} logins gone", err=True)
    if fresh:
        click.echo(f"hint: each password is a file in {str(out / 'logins')!r}", err=True)
    click.echo(str(out / "mosquitto.conf"))


def _ledger(line: str | None) -> str | None:
    if line is None:
        return None
    try:
        return LedgerKey(VerifierKey.parse(line)).id.hex()
    except TallystickError as error:
        raise Complaint(f"--ledger: {error.detail}", error.hint, console.EXIT_USE) from error


def _logins(
    out: Path, names: list[str], renew: set[str], made: Mapping[str, str]
) -> tuple[int, int]:
    """Bring passwords and logins/ up to date; how many are new, how many went. `made`: hashes of
    the enrolment, whose passwords nobody but the boards has."""
    file = out / "passwords"
    held = broker_files.passwords(file.read_text()) if file.exists() else {}
    hashes, fresh = {}, 0
    (out / "logins").mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in names:
        if name in made:
            (out / "logins" / name).unlink(missing_ok=True)
            hashes[name] = made[name]
            continue
        if name in held and name not in renew:
            hashes[name] = held[name]
            continue
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        # the password before its hash: a crash between them leaves a login that is made anew
        write_whole(out / "logins" / name, f"{password}\n".encode(), mode=PRIVATE_MODE)
        hashes[name] = broker_files.hashed(password)
        fresh += 1
    gone = held.keys() - hashes.keys()
    for name in gone:
        (out / "logins" / name).unlink(missing_ok=True)
    write_whole(file, broker_files.password_file(hashes).encode(), mode=PRIVATE_MODE)
    return fresh, len(gone)


def _certificates(out: Path, hosts: tuple[str, ...]) -> tuple[Path, Path]:
    """The server's certificate and key in `out`, made or renewed if it is time."""
    now = datetime.now(UTC)
    out.mkdir(parents=True, exist_ok=True)
    ca, ca_key = out / "ca.pem", out / "ca.key"
    server, server_key = out / "server.pem", out / "server.key"
    if not ca.exists():
        made = authority.make_authority("Tallystick site authority", now)
        write_whole(ca_key, made.key, mode=PRIVATE_MODE)
        write_whole(ca, made.certificate)
    due = not (server.exists() and server_key.exists())
    if due or authority.is_due(_pair(server, server_key), hosts, now):
        if not ca_key.exists():
            raise Complaint(
                f"the broker's certificate is due, and {str(ca_key)!r} is not there",
                "put the authority's key back for this run",
            )
        fresh = authority.make_server(_pair(ca, ca_key), hosts, now)
        write_whole(server_key, fresh.key, mode=PRIVATE_MODE)
        write_whole(server, fresh.certificate)
    return server, server_key


def _give(out: Path, owner: str) -> None:
    """mosquitto gives up root before it reads passwords again, and its key on SIGHUP."""
    for name in ("mosquitto.conf", "passwords", "acl", "server.key"):
        if (out / name).exists():
            try:
                shutil.chown(out / name, owner)
            except LookupError:
                raise Complaint(f"there is no user {owner!r}", status=console.EXIT_USE) from None


def _pair(certificate: Path, key: Path) -> Pair:
    return Pair(certificate.read_bytes(), key.read_bytes())
