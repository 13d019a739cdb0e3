"""Options that several commands have."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tallystick_ledger.errors import LedgerError

if TYPE_CHECKING:
    from tallystick_ledger.mqtt import Broker

__all__ = [
    "AS_JSON",
    "BROKER",
    "CA_FILE",
    "DIR",
    "HTTP",
    "PASSWORD_FILE",
    "USER",
    "host_port",
    "login",
]


def host_port(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, int] | None:
    """HOST:PORT, with an IPv6 address in brackets."""
    if value is None:
        return None
    host, _colon, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise click.BadParameter(f"'{value}' is not HOST:PORT")
    return host.strip("[]"), int(port)


def login(
    broker: tuple[str, int], user: str | None, password_file: Path | None, ca_file: Path | None
) -> Broker:
    """The broker, and how it is spoken to."""
    from tallystick_ledger.mqtt import Broker

    if ca_file is not None:
        try:
            ssl.create_default_context(cafile=str(ca_file))
        except OSError:  # an SSLError is one
            raise LedgerError(
                f"no certificate can be read in '{ca_file}'",
                hint="a PEM file: -----BEGIN CERTIFICATE-----",
            ) from None
    authority = None if ca_file is None else str(ca_file)
    return Broker(*broker, user, _password(password_file, user), authority)


def _password(path: Path | None, user: str | None) -> str | None:
    """The first line of the file, for a login as `user`."""
    if path is None:
        return None
    if user is None:
        raise click.UsageError("--password-file needs --user")
    try:
        return path.read_text().split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError):
        # the cause is left out: it may quote the password
        raise LedgerError(f"cannot read the password in '{path}'") from None


DIR: Final = click.option(
    "--dir",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    envvar="TALLY_LEDGER_DIR",
    help="The ledger's folder.",
)
BROKER: Final = click.option(
    "--broker", required=True, callback=host_port, metavar="HOST:PORT", help="The MQTT broker."
)
HTTP: Final = click.option(
    "--http",
    callback=host_port,
    metavar="HOST:PORT",
    help="Serve the page and the read-only HTTP side here; else not at all.",
)
USER: Final = click.option("--user", help="Login at the broker.")
PASSWORD_FILE: Final = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File whose first line is the password.",
)
CA_FILE: Final = click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Speak TLS to the broker; its certificate must come from this authority and no other.",
)
AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
