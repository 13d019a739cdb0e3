"""The data folder: what lies in it, who may write to it, and files that are whole or not there.

::

    DIR/gateway.key       the signing key, mode 0600
    DIR/gateway.db        SQLite, see `store`
    DIR/enrolment.json    written by the owner's command
    DIR/log/              checkpoint and tiles, derived from the database; see `mark`
    DIR/updates/          update files for boards, see `updates`
    DIR/old/              keys and logs that `new-log` put away
    DIR/lock              held while a process writes
    DIR.high-water        beside it: outlives a restored backup of DIR
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tallystick.checkpoint import gateway_name
from tallystick.errors import TallystickError
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey

__all__ = ["Folder", "FolderError", "Identity", "sweep", "sync_files", "sync_folder", "write_whole"]

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
_UNFINISHED = ".new"


class FolderError(Exception):
    """The data folder cannot be used as it is; `hint` says what to do."""

    def __init__(self, detail: str, *, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


@dataclass(frozen=True)
class Identity:
    """The gateway's key, its id (8 bytes), and the origin of its log, which is its name too."""

    key: PrivateKey
    id: bytes
    origin: str

    @classmethod
    def of(cls, key: PrivateKey) -> Identity:
        """The identity that `key` makes."""
        return cls(key, key.public.kid, gateway_name(key.public))

    @property
    def verifier(self) -> VerifierKey:
        """What a policy trusts."""
        return VerifierKey(self.origin, self.key.public)


@dataclass(frozen=True)
class Folder:
    """The paths of one data folder."""

    path: Path

    @property
    def key(self) -> Path:
        """The private key."""
        return self.path / "gateway.key"

    @property
    def database(self) -> Path:
        """SQLite."""
        return self.path / "gateway.db"

    @property
    def enrolment(self) -> Path:
        """Where the enrolment is looked for unless told otherwise."""
        return self.path / "enrolment.json"

    @property
    def log(self) -> Path:
        """Checkpoint and tiles."""
        return self.path / "log"

    @property
    def updates(self) -> Path:
        """Update files."""
        return self.path / "updates"

    @property
    def old(self) -> Path:
        """What `new-log` put away."""
        return self.path / "old"

    @property
    def high_water(self) -> Path:
        """Beside the folder, so that restoring the folder does not restore it."""
        path = self.path.resolve()
        return path.with_name(path.name + ".high-water")

    def identity(self) -> Identity:
        """The identity of the key in the folder; `FolderError` if there is none that can be read."""
        try:
            pem = self.key.read_bytes()
        except FileNotFoundError:
            raise FolderError(
                f"no gateway in {str(self.path)!r}", hint="run tally-gateway init --dir DIR"
            ) from None
        except OSError as error:
            raise FolderError(f"cannot read {str(self.key)!r}: {error.strerror}") from None
        try:
            return Identity.of(PrivateKey.from_pem(pem))
        except TallystickError as error:
            raise FolderError(
                f"{str(self.key)!r}: {error.detail}", hint="restore gateway.key from a backup"
            ) from None

    def make_key(self) -> Identity:
        """A new key in the folder; `FolderError` if there is one already."""
        identity = Identity.of(PrivateKey.generate())
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # O_EXCL: a key is never written over
            handle = os.open(self.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
        except FileExistsError:
            raise FolderError(
                f"there is a gateway in {str(self.path)!r} already",
                hint="tally-gateway identity --dir DIR shows it",
            ) from None
        with os.fdopen(handle, "wb") as file:
            file.write(identity.key.to_pem())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path)
        return identity

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for writing; `FolderError` while another process does."""
        with (self.path / "lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FolderError(
                    f"another process works in {str(self.path)!r}", hint="stop it first"
                ) from None
            yield


def write_whole(path: Path, data: bytes, *, mode: int = PUBLIC_MODE, durable: bool = True) -> None:
    """Put `data` at `path` so that a crash leaves the old file or the new one, never a part.

    Without `durable`, a killed process does, and a power cut may leave anything.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{_UNFINISHED}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    temporary.replace(path)
    if durable:
        sync_folder(path.parent)


def sweep(folder: Path) -> list[Path]:
    """Remove what kills have left of `write_whole` below `folder`, and list the folders there. Whoever calls
    it is the only one that writes there.
    """
    folders: list[Path] = []
    for path, _, names in os.walk(folder):
        folders.append(Path(path))
        for name in names:
            if name.startswith(".") and name.endswith(_UNFINISHED):
                Path(path, name).unlink(missing_ok=True)
    return folders


def sync_files(paths: Iterable[Path]) -> None:
    """Make the bytes of some files durable, sooner than one after the other."""
    with ExitStack() as stack:
        handles: list[int] = []
        for path in paths:
            handles.append(os.open(path, os.O_RDONLY))
            stack.callback(os.close, handles[-1])
            # starts the writing: then the first wait is nearly the only one
            os.posix_fadvise(handles[-1], 0, 0, os.POSIX_FADV_DONTNEED)
        for handle in handles:
            os.fsync(handle)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
