"""Every setting of the gateway: one name in the configuration file, on the command line and in the
environment (`anchor-interval`, `--anchor-interval`, TALLY_GATEWAY_ANCHOR_INTERVAL).

What is said on the command line counts before the environment, the environment before the file, the
file before the default. A secret is never a setting, only the file that holds it; where systemd
hands over a credential of the right name, that is the default.

The file is TOML, flat, and has one table of its own::

    broker = "127.0.0.1:8883"
    ca-file = "ca.pem"               # relative to this file

    [adapters]
    home-assistant = true
    senml = { format = "cbor" }
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from tallystick_gateway import bounds

__all__ = ["SETTINGS", "Configuration", "Setting", "SettingError", "read", "setting", "strange"]

PREFIX: Final = "TALLY_GATEWAY_"
F = TypeVar("F", bound=Callable[..., Any])

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_EXISTING: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
_SECONDS: Final = click.FloatRange(min=0.05)


class SettingError(Exception):
    """A configuration file that cannot be used; `hint` says what to do, or is empty."""

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


@dataclass(frozen=True)
class Setting:
    """One setting. `help` says what it does and what follows from its default; `credential` is the
    name under which systemd may hand over the file.
    """

    name: str
    help: str
    type: click.ParamType[Any] = field(default_factory=lambda: click.STRING)
    default: Any = None
    otherwise: str = ""  # the default in words, where it is no value
    metavar: str | None = None
    credential: str | None = None
    multiple: bool = False

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper().replace("-", "_")

    @property
    def parameter(self) -> str:
        """The name in Python."""
        return "path" if self.name == "dir" else self.name.replace("-", "_")

    def fallback(self) -> Any:
        """The default, here and now."""
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if self.credential is not None and folder:
            path = Path(folder) / self.credential
            return path if path.is_file() else self.default
        return self.default

    def option(self) -> Callable[[F], F]:
        """The click option."""
        given: dict[str, Any] = {"default": self.fallback} if self.credential else {}
        if self.default is not None and not self.credential:
            given = {"default": self.default, "show_default": True}
        kind = {"is_flag": True} if self.type is click.BOOL else {"type": self.type}
        tail = f" Default: {self.otherwise}." if self.otherwise else ""
        return click.option(
            f"--{self.name}",
            self.parameter,
            envvar=self.variable,
            help=self.help + tail,
            metavar=self.metavar,
            multiple=self.multiple,
            **kind,
            **given,
        )


SETTINGS: Final = (
    Setting(
        "dir",
        "The gateway's data folder: key, database, log. Whoever can read it can sign as this gateway.",
        click.Path(path_type=Path, file_okay=False),
        otherwise="none, it must be given",
    ),
    Setting(
        "broker", "The MQTT broker.", metavar="HOST:PORT", otherwise="none, `run` must be told"
    ),
    Setting(
        "ledger",
        "The line that `tally-ledger identity` prints; every receipt is checked with its key.",
        metavar="VKEY",
        otherwise="none, `run` must be told",
    ),
    Setting(
        "http",
        "Serve the page, state, metrics, proofs and tiles there, read-only and without TLS: put a"
        " proxy before it that speaks TLS where others can listen.",
        metavar="HOST:PORT",
        otherwise="none, nothing is served",
    ),
    Setting(
        "public-url",
        "Under which address people reach the HTTP side: links to the page and to proofs start with it.",
        metavar="URL",
        otherwise="none, nothing that is re-published has a link",
    ),
    Setting(
        "enrolment",
        "Which devices may speak. Read again when it is replaced, or on SIGHUP.",
        _FILE,
        otherwise="DIR/enrolment.json",
    ),
    Setting(
        "high-water",
        "The largest checkpoint ever signed. Keep it out of backups of DIR: it is what shows that a"
        " restored copy is old.",
        _FILE,
        otherwise="DIR.high-water, beside DIR",
    ),
    Setting(
        "anchor-interval",
        "Seconds between anchors, if there is anything new. Longer: fewer blocks on the ledger, and"
        " readings stay pending for so long.",
        _SECONDS,
        60.0,
    ),
    Setting(
        "checkpoint-interval",
        "Seconds between checkpoints, if there is anything new. Longer: fewer signatures, and the"
        " newest records are provable later.",
        _SECONDS,
        5.0,
    ),
    Setting(
        "settle",
        "Seconds that the first signature after a start waits, from the broker's answer to the"
        " subscriptions on, for what the broker and the ledger hold of this gateway's own past: its"
        " retained checkpoint and its newest anchor (when both came, it waits no longer). What they"
        " show and the log does not contain freezes it: see new-log. Shorter than the broker needs:"
        " a restored old copy may sign a fork.",
        click.FloatRange(min=0.0),
        3.0,
    ),
    Setting("user", "Login at the broker.", otherwise="none, the broker must let everybody in"),
    Setting(
        "password-file",
        "File with the broker's password in its first line.",
        _EXISTING,
        credential="broker-password",
        otherwise="the systemd credential `broker-password`, or none",
    ),
    Setting(
        "ca-file",
        "Speak TLS to the broker; its certificate must come from this authority and no other.",
        _EXISTING,
        credential="broker-ca",
        otherwise="the systemd credential `broker-ca`, or none: passwords then travel in the clear",
    ),
    Setting(
        "token-file",
        "File with the token for entry bundles, which hold everybody's readings: as a bearer token, or"
        " as the password of HTTP basic authentication.",
        _EXISTING,
        credential="http-token",
        otherwise="the systemd credential `http-token`, or none: entry bundles are refused",
    ),
    Setting(
        "readings-login",
        "Ask for the token also before the page, readings and proofs are shown. Hash tiles, checkpoint,"
        " health and metrics stay public.",
        click.BOOL,
        otherwise="off, whoever reaches the address sees readings",
    ),
    Setting(
        "device-metrics",
        "Export the time of the last record of each device. One more line of metrics a device.",
        click.BOOL,
        otherwise="off, metrics name no device",
    ),
    Setting(
        "log-level",
        "The least that is logged.",
        click.Choice(["debug", "info", "warning", "error"]),
        "info",
    ),
    Setting(
        "adapter",
        "Switch on an adapter that re-publishes verified readings: home-assistant, senml, or"
        " MODULE:CLASS. May be given more than once; in the file, the table `adapters` does it.",
        metavar="NAME",
        multiple=True,
        otherwise="none, only the `verified/` topics are published",
    ),
)
_BY_NAME: Final = {one.name: one for one in SETTINGS}


def setting(*names: str) -> Callable[[F], F]:
    """The options of these settings, for a command."""

    def decorate(command: F) -> F:
        for name in reversed(names):
            command = _BY_NAME[name].option()(command)
        return command

    return decorate


@dataclass(frozen=True)
class Configuration:
    """What a configuration file says: values by parameter name, and the table of adapters."""

    path: Path
    values: Mapping[str, Any]
    adapters: Mapping[str, Mapping[str, Any]]


def read(path: Path) -> Configuration:
    """The file at `path`, every value checked; `SettingError` names the line's key."""
    try:
        with path.open("rb") as file:
            data = file.read(bounds.CONFIGURATION_BYTES + 1)
    except OSError as error:
        raise SettingError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if len(data) > bounds.CONFIGURATION_BYTES:
        raise SettingError(f"{str(path)!r} is longer than {bounds.CONFIGURATION_BYTES} bytes")
    try:
        said = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingError(f"{str(path)!r} is not TOML: {error}") from error
    adapters = _adapters(path, said.pop("adapters", {}))
    values = {}
    for name, value in said.items():
        known = _BY_NAME.get(name)
        if known is None:
            near = difflib.get_close_matches(name, _BY_NAME, 1)
            raise SettingError(
                f"{str(path)!r}: there is no setting {name!r}",
                f"do you mean {near[0]}?" if near else "docs/settings.md lists them",
            )
        values[known.parameter] = _value(path, known, value)
    return Configuration(path, values, adapters)


def strange(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like ours and mean nothing: most likely a slip of the pen."""
    known = {one.variable for one in SETTINGS} | {PREFIX + "CONFIG"}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def _value(path: Path, known: Setting, value: Any) -> Any:
    where = f"{str(path)!r}: {known.name}"
    if known.multiple:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise SettingError(f"{where} is a list of texts")
        return value
    number = isinstance(known.type, click.FloatRange)
    wanted: tuple[type, ...] = (str,)
    if known.type is click.BOOL:
        wanted = (bool,)
    elif number:
        wanted = (int, float)
    if not isinstance(value, wanted) or (number and isinstance(value, bool)):
        raise SettingError(f"{where}: {value!r} is no {wanted[-1].__name__}")
    if isinstance(known.type, click.Path):
        value = str(path.parent / str(value))
    try:
        return known.type.convert(value, None, None)
    except click.BadParameter as error:
        raise SettingError(f"{where}: {error.message}") from error


def _adapters(path: Path, table: Any) -> dict[str, Mapping[str, Any]]:
    if not isinstance(table, dict):
        raise SettingError(f"{str(path)!r}: adapters is a table", "[adapters]")
    found: dict[str, Mapping[str, Any]] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found[name] = value
        elif value is True:
            found[name] = {}
        elif value is not False:
            raise SettingError(
                f"{str(path)!r}: adapter {name!r} is true, false, or a table of its options"
            )
    return found
