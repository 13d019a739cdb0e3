"""Files, read with a limit and replaced as one.

* A file that others rely on is replaced atomically: written beside it, flushed to the disk, renamed over it. Killed
  at any moment, the old text or the new one is there, never a half.
* Who reads a file in order to change it holds its lock from the reading to the replacing: of two commands at once,
  neither undoes what the other did.
* A key file is made new, with mode 0600 from its first moment on, and never over another.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tallystick_host.errors import UndoneError, UseError
from tallystick_host.words import shown_path

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["locked", "make_private", "read", "replace", "write_new"]


def read(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a regular file of at most `limit`; `UndoneError` says why not."""
    name = shown_path(path)
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UndoneError(f"{name!r} is not a regular file", code="file.kind")
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise UndoneError(f"cannot read {name!r}: {_reason(error)}", code="file.read") from error
    if len(data) > limit:
        raise UndoneError(
            f"{name!r} is larger than {limit} bytes, the most that is read", code="file.too-long"
        )
    return data


def replace(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put `data` in the place of `path`, atomically and durably. A link stays a link; an existing file's mode stays."""
    target = path.resolve()
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(target.stat().st_mode)
    import tempfile

    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with open(descriptor, "wb") as file:
            os.chmod(temporary, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
        temporary = None
        _sync_folder(target.parent)
    except OSError as error:
        raise UndoneError(f"cannot write {shown_path(path)!r}: {_reason(error)}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path` (an empty file beside it, locked as long as this process lives); waits for its turn."""
    if os.name != "posix":
        yield
        return
    import fcntl

    target = path.resolve()
    lock = target.with_name(f".{target.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UndoneError(f"cannot write {shown_path(path)!r}: {_reason(error)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Make a file that is not there yet; `UseError` if it is."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise UseError(f"{shown_path(path)!r} exists already") from error
    except OSError as error:
        raise UndoneError(f"cannot write {shown_path(path)!r}: {_reason(error)}") from error
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        # a half-written file would stand in the way of the next try
        with contextlib.suppress(OSError):
            path.unlink()
        raise UndoneError(f"cannot write {shown_path(path)!r}: {_reason(error)}") from error
    _sync_folder(path.resolve().parent)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it, that only its owner may enter; one that is there stays as it is."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UndoneError(
            f"cannot make the folder {shown_path(folder)!r}: {_reason(error)}"
        ) from error


def _sync_folder(folder: Path) -> None:
    """The name is durable only when its folder is; Windows has no such call."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)
