"""Options that several commands have, each with one name and one meaning, and what is made of their values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rich_click as click

from tallystick_host.errors import UseError

if TYPE_CHECKING:
    from tallystick.keys import PublicKey
    from tallystick_host.boards import Board
    from tallystick_host.home import Home

__all__ = [
    "AS_JSON",
    "BATCH",
    "BOARD",
    "BROKER",
    "ENROLMENT",
    "EXPIRES",
    "FIND",
    "GATEWAY",
    "GATEWAY_URL",
    "INTERVAL",
    "LOGIN",
    "NAME",
    "NO_LOGIN",
    "POLICY",
    "PORT",
    "RPC",
    "STATUS_LISTS",
    "UPDATE_KEY",
    "VIRTUAL",
    "VIRTUAL_THERE",
    "broker_address",
    "nodes",
    "one_board",
    "together",
]

F = TypeVar("F", bound=Callable[..., Any])
Option = Callable[[F], F]


def _enrolment(context: click.Context, _option: click.Parameter, given: Path | None) -> Path:
    """The file that is meant; one in the home folder if nothing is said."""
    home: Home = context.obj
    return given or home.enrolment_path


def _update_key(
    _context: click.Context, _option: click.Parameter, given: Path | None
) -> PublicKey | None:
    if given is None:
        return None
    from tallystick_host import update_file

    return update_file.public_key(given)


PORT: Final = click.option("--port", help="Serial port of the board; default: the only one on USB.")
VIRTUAL: Final = click.option(
    "--virtual",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of a virtual board (a simulator); made if it is not there.",
)
VIRTUAL_THERE: Final = click.option(
    "--virtual",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of a virtual board (a simulator), started for as long.",
)
BOARD: Final = click.option("--board", "board_id", help="Which board it is; tally boards list.")
NAME: Final = click.option("--name", help="What people call the board.")
ENROLMENT: Final = click.option(
    "--enrolment",
    "enrolment_path",
    type=click.Path(path_type=Path),
    envvar="TALLY_ENROLMENT",
    callback=_enrolment,
    help="The gateway's enrolment file; made if it is not there. Default: enrolment.json in the home folder.",
)
FIND: Final = click.option(
    "--enrolment",
    "enrolment_path",
    type=click.Path(path_type=Path),
    help="The gateway's enrolment file: to find a board by its name.",
)
GATEWAY: Final = click.option("--gateway", help="Line of the gateway that the board may believe.")
GATEWAY_URL: Final = click.option(
    "--gateway-url", metavar="URL", help="Where the gateway answers; what it shows is verified."
)
BROKER: Final = click.option(
    "--broker", metavar="HOST:PORT", help="MQTT broker; PORT is 1883 if not given."
)
INTERVAL: Final = click.option(
    "--interval", type=click.IntRange(1), metavar="MS", help="Between readings."
)
BATCH: Final = click.option(
    "--batch", type=click.IntRange(1), metavar="N", help="Readings in a record."
)
EXPIRES: Final = click.option(
    "--expires", type=click.IntRange(1, 36_500), metavar="DAYS", help="Life of the credential."
)
UPDATE_KEY: Final = click.option(
    "--update-key",
    "update_key",
    type=click.Path(path_type=Path),
    callback=_update_key,
    help="Pin the key whose updates the board takes: the update.pub of tally update keygen. Without one it takes none.",
)
NO_LOGIN: Final = click.option(
    "--no-login",
    is_flag=True,
    help="Make no login at the broker; else a board gets its own, kept in the enrolment file.",
)
LOGIN: Final = (
    click.option("--user", help="Login at the broker."),
    click.option(
        "--password-file",
        type=click.Path(path_type=Path),
        help="File whose first line is the password.",
    ),
)
POLICY: Final = click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path),
    help="Whom to trust; default: policy.toml in the home folder.",
)
STATUS_LISTS: Final = click.option(
    "--status-list",
    "list_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A status list of the issuer; may be repeated.",
)
RPC: Final = (
    click.option(
        "--rpc",
        "urls",
        multiple=True,
        metavar="URL",
        help="JSON-RPC of a node of another ledger, to look up a bridge's transaction; may be repeated.",
    ),
    click.option(
        "--rpc-file",
        "url_paths",
        multiple=True,
        metavar="FILE",
        help="File with such a URL, for one that holds a login or a token; may be repeated.",
    ),
)
AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Facts as JSON.")


def together(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """One decorator for many options, which stand in this order in the help text."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def one_board(port: str | None, virtual: Path | None, board: Board | None = None) -> str | None:
    """The port that is meant, the only one on USB if nothing is; None for a virtual board. `board`: which it should be.

    `UseError` if both are given.
    """
    # `tally verify` has options of this module too, and waits for none of this
    from tallystick_host import boards, ports

    if port is not None and virtual is not None:
        raise UseError("one of --port and --virtual, not both")
    if virtual is not None:
        return None
    fitting = [board] if board is not None and board.usb else boards.load_all()
    return ports.choose(port or ports.AUTO, fitting)


def nodes(urls: tuple[str, ...], paths: tuple[str, ...]) -> tuple[str, ...]:
    """The nodes that `RPC` names; what asks them is loaded only if there are such."""
    if not urls and not paths:
        return ()
    from tallystick_host import other_ledger

    return other_ledger.nodes(urls, paths)


def broker_address(text: str | None) -> tuple[str | None, int | None]:
    """Host and port of HOST:PORT; `UseError` if it is none."""
    if text is None:
        return None, None
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, "1883"
    if not host or any(c.isspace() or not c.isprintable() for c in host):
        raise UseError(f"{text!r} is not HOST:PORT")
    if not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65_535:
        raise UseError(f"{text!r} is not HOST:PORT: a port is a number from 1 to 65535")
    return host, int(port)
