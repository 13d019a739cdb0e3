"""What the commands of `tally-gateway` share: the two lines of a complaint, and arguments checked.

stdout is data, stderr is talk; exit status 2 is wrong use, 1 a failure, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from tallystick.errors import TallystickError
from tallystick_gateway.enrolment import Enrolment, EnrolmentError, EnrolmentFile
from tallystick_gateway.folder import Folder, FolderError
from tallystick_gateway.proofs import ProofError

__all__ = ["DIR", "Complaint", "address", "device", "enrolled", "held", "orderly", "secret"]

T = TypeVar("T")

EXIT_USE: Final = 2
EXIT_INTERRUPTED: Final = 130
_SECRET_BYTES: Final = 4_096

DIR = click.option(
    "--dir",
    "path",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The gateway's data folder.",
)


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


@contextmanager
def held(folder: Folder) -> Iterator[None]:
    """Work in the folder alone; a complaint if another process does."""
    with ExitStack() as locks:
        orderly(lambda: locks.enter_context(folder.locked()))
        yield


def address(text: str, option: str) -> tuple[str, int]:
    """HOST:PORT, with an IPv6 address in brackets."""
    host, colon, port = text.rpartition(":")
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
