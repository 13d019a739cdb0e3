"""What the commands of `tally-gateway` share: the two lines of a complaint, and arguments checked.

stdout is data, stderr is talk; exit status 2 is wrong use, 1 a failure, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import functools
import json
import re
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click
from click.core import ParameterSource

from tallystick.errors import TallystickError
from tallystick_gateway import settings
from tallystick_gateway.enrolment import Enrolment, EnrolmentError, EnrolmentFile
from tallystick_gateway.folder import Folder, FolderError
from tallystick_gateway.proofs import ProofError
from tallystick_gateway.settings import SETTINGS, SettingError

__all__ = [
    "CONFIG",
    "DIR",
    "Complaint",
    "address",
    "device",
    "enrolled",
    "held",
    "needed",
    "orderly",
    "printed",
    "secret",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

EXIT_USE: Final = 2
EXIT_INTERRUPTED: Final = 130
ADAPTERS: Final = "tallystick_gateway.adapters"  # in click's meta: what the file says of them
_SECRET_BYTES: Final = 4_096
_SECRET_NAME: Final = re.compile(r"password$|passwd|token$|secret|key$", re.IGNORECASE)
_LOGIN: Final = re.compile(r"(?<=//)[^/@]*@|^[^/@]*@")
_SOURCES: Final = {
    ParameterSource.COMMANDLINE: "command line",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "configuration file",
    ParameterSource.DEFAULT: "default",
    ParameterSource.PROMPT: "default",
    None: "default",
}


class Complaint(click.ClickException):
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


def orderly(work: Callable[[], T]) -> T:
    """Do `work`; what can go wrong there ends the command with its two lines."""
    try:
        return work()
    except (FolderError, ProofError, TallystickError) as error:
        raise Complaint(error.detail, error.hint) from error
    except (sqlite3.Error, OSError) as error:
        raise Complaint(f"{type(error).__name__}: {error}") from error


def _configure(ctx: click.Context, _param: click.Parameter, path: Path | None) -> None:
    """Let the file give the defaults of this command's options."""
    if path is None:
        return
    try:
        said = settings.read(path)
    except SettingError as error:
        raise Complaint(error.detail, error.hint, EXIT_USE) from error
    ctx.default_map = dict(said.values)
    ctx.meta[ADAPTERS] = dict(said.adapters)


CONFIG = click.option(
    "--config",
    envvar="TALLY_GATEWAY_CONFIG",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=_configure,
    help="Configuration file (TOML): every setting can stand there, docs/settings.md lists them.",
)


def DIR(command: F) -> F:  # noqa: N802 # reads like the options that it stands for
    """--dir and --config, for every command."""
    return settings.setting("dir")(CONFIG(_with_dir(command)))


def _with_dir(command: F) -> F:
    @functools.wraps(command)
    def checked(*args: Any, **given: Any) -> Any:
        needed("dir", given["path"])
        return command(*args, **given)

    return cast("F", checked)


def needed(name: str, value: T | None) -> T:
    """The value of a setting that has to be there."""
    if value is None:
        variable = f"{settings.PREFIX}{name.upper().replace('-', '_')}"
        raise Complaint(
            f"{name} is not set",
            f"give --{name}, or {name} in the --config file, or {variable} in the environment",
            EXIT_USE,
        )
    return value


def printed(ctx: click.Context) -> str:
    """The command's settings as a configuration file, each with where its value came from.

    Secrets are never settings; what somebody may have put where none belongs is blacked out.
    """
    lines = []
    for one in SETTINGS:
        if one.parameter not in ctx.params or one.multiple:
            continue
        value = ctx.params[one.parameter]
        source = _SOURCES[ctx.get_parameter_source(one.parameter)]
        if value is None or (value is False and source == "default"):
            lines.append(f"# {one.name}: {one.otherwise}")
        else:
            lines.append(f"{one.name} = {_toml(one.name, value)}  # {source}")
    adapters = ctx.meta.get(ADAPTERS, {}) | {
        name: {} for name in ctx.params.get("adapter", ()) if name not in ctx.meta.get(ADAPTERS, {})
    }
    if "adapter" in ctx.params:
        lines += ["", "[adapters]"]
        lines += [
            f"{_toml('', name)} = {_toml(name, held or True)}" for name, held in adapters.items()
        ]
    return "\n".join(lines) + "\n"


def _toml(name: str, value: Any) -> str:
    if _SECRET_NAME.search(name) and not isinstance(value, Path):
        return '"<not shown>"'
    if isinstance(value, dict):
        inner = ", ".join(f"{_toml('', key)} = {_toml(key, held)}" for key, held in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(name, one) for one in value)}]"
    if isinstance(value, str | Path):
        # a login that was put before the host: user:password@host
        return json.dumps(_LOGIN.sub("<not shown>@", str(value)), ensure_ascii=False)
    return json.dumps(value, default=str)


@contextmanager
def held(folder: Folder) -> Iterator[None]:
    """Work in the folder alone; a complaint if another process does."""
    with ExitStack() as locks:
        orderly(lambda: locks.enter_context(folder.locked()))
        yield


def address(text: str, option: str) -> tuple[str, int]:
    """HOST:PORT, with an IPv6 address in brackets."""
    host, colon, port = text.rpartition(":")
    if "@" in text:  # not quoted: what stands before the @ is a secret
        raise Complaint(f"{option}: no login belongs there", "--user and --password-file", EXIT_USE)
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise Complaint(
            f"{option}: {text!r} is not HOST:PORT", "for example 127.0.0.1:1883", EXIT_USE
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def secret(path: Path) -> str:
    """The first line of a file; nothing of it is ever shown."""
    with path.open("rb") as file:
        lines = file.read(_SECRET_BYTES).decode(errors="replace").splitlines()
    if not lines or not lines[0]:
        raise Complaint(f"{str(path)!r} is empty", status=EXIT_USE)
    return lines[0]


def authority(path: Path) -> str:
    """The name of a file that holds certificates in which TLS can trust."""
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError:  # an SSLError is one
        raise Complaint(
            f"no certificate can be read in {str(path)!r}",
            "a PEM file: -----BEGIN CERTIFICATE-----",
            EXIT_USE,
        ) from None
    return str(path)


def device(text: str) -> bytes:
    """A device id of 16 hex digits."""
    try:
        name = bytes.fromhex(text)
    except ValueError:
        name = b""
    if len(name) != 8 or name.hex() != text:
        raise Complaint(f"{text[:64]!r} is not a device id", "16 lower-case hex digits", EXIT_USE)
    return name


def enrolled(path: Path) -> Enrolment:
    """The enrolment file at `path`; an empty one if there is none."""
    file = EnrolmentFile(path)
    try:
        file.reload()
    except EnrolmentError as error:
        raise Complaint(str(error)) from error
    return file.current
