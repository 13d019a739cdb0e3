"""What stands in a ledger's folder: `ledger.key`, `ledger.db`, and `ledger.lock` while it runs.

The key is PKCS #8 in PEM, mode 0600, created and never overwritten. The database gets its name when
it is complete, so that an interrupted `init` leaves no ledger behind that starts.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tallystick import block, checkpoint
from tallystick.errors import TallystickError
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.reader import Reader
from tallystick_ledger.store import Store

__all__ = ["Folder"]


class Folder:
    """One ledger on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "ledger.db"
        self._key = path / "ledger.key"
        self._lock = path / "ledger.lock"

    def create(self, name: str, time: int) -> None:
        """A new key and genesis block; `LedgerError` if anything of a ledger is there already."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.database.exists():
                raise FileExistsError
            key = PrivateKey.generate()
            genesis = block.sign_genesis(key, time, name)
            block.parse(genesis)  # refuses a name that is too long or cannot be shown
            self._write_key(key)
        except FileExistsError:
            raise LedgerError(
                f"'{self.path}' holds a ledger, or what is left of one",
                hint="choose another folder; a ledger's key is never overwritten",
            ) from None
        except OSError as error:
            raise LedgerError(f"cannot write to '{self.path}': {error.strerror}") from error
        draft = self.database.with_suffix(".new")
        Store.create(draft, key.public, genesis)
        draft.rename(self.database)
        self._sync()

    def adopt(self, genesis: bytes, key: VerifierKey) -> None:
        """A copy of the ledger that `genesis` starts and `key` signs, to follow it; `LedgerError` if it is not
        that ledger's, or something stands here already.
        """
        try:
            parsed = block.parse(genesis)
            parsed.signed.verify(key.key)
        except TallystickError as error:
            raise LedgerError(
                f"what came is not the start of {key.name}: {error.detail}"
            ) from error
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"cannot write to '{self.path}': {error.strerror}") from error
        if self.database.exists() or self._key.exists():
            raise LedgerError(f"'{self.path}' holds a ledger already")
        draft = self.database.with_suffix(".new")
        draft.unlink(missing_ok=True)
        Store.create(draft, key.key, genesis)
        draft.rename(self.database)
        self._sync()

    def receive(self, write: Callable[[Path], None], key: Path | None) -> None:
        """A database that `write` makes, and a copy of the key in `key` if there is one; `LedgerError` if something
        stands here already, or the two do not belong together.
        """
        if self.database.exists() or self._key.exists():
            raise LedgerError(
                f"'{self.path}' holds a ledger, or what is left of one",
                hint="choose another folder",
            )
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            secret = None if key is None else PrivateKey.from_pem(key.read_bytes())
        except OSError as error:
            raise LedgerError(f"'{error.filename}': {error.strerror}") from error
        except TallystickError as error:
            raise LedgerError(f"'{key}' is no key: {error.detail}") from None
        draft = self.database.with_suffix(".new")
        draft.unlink(missing_ok=True)
        write(draft)
        with Reader.open(draft) as reader:
            fits = secret is None or reader.key == secret.public
        if not fits:
            draft.unlink()
            raise LedgerError(f"the key in '{key}' is not that of this ledger")
        if secret is not None:
            self._write_key(secret)
        draft.rename(self.database)
        self._sync()

    @property
    def signs(self) -> bool:
        """Is the ledger's key here? A node without it can only follow."""
        return self._key.exists()

    def key(self) -> PrivateKey:
        """The ledger's key, which must be the one that the database names."""
        try:
            key = PrivateKey.from_pem(self._key.read_bytes())
        except OSError as error:
            raise LedgerError(
                f"cannot read '{self._key}': {error.strerror}",
                hint="run tally-ledger init --dir DIR, or restore the key from its backup",
            ) from error
        except TallystickError as error:
            raise LedgerError(f"'{self._key}' is no key: {error.detail}") from None
        with Reader.open(self.database) as reader:
            if reader.key != key.public:
                raise LedgerError(
                    f"the key in '{self._key}' is not that of '{self.database}'",
                    hint="key and database of one ledger belong together: restore both",
                )
        return key

    def identity(self) -> VerifierKey:
        """What a policy trusts: the ledger's name and key."""
        with Reader.open(self.database) as reader:
            return VerifierKey(checkpoint.ledger_name(reader.ledger), reader.key)

    def ledger(self) -> bytes:
        """The ledger's id."""
        with Reader.open(self.database) as reader:
            return reader.ledger

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process runs a ledger; the lock ends with the process, however that ends."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerError(f"cannot write to '{self.path}': {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise LedgerError(
                f"another process runs the ledger in '{self.path}'", hint="end it first"
            ) from None
        try:
            yield
        finally:
            os.close(descriptor)

    def _write_key(self, key: PrivateKey) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(self._key, flags, 0o600), "wb") as file:
            file.write(key.to_pem())
            file.flush()
            os.fsync(file.fileno())
        self._sync()

    def _sync(self) -> None:
        """Make the folder's own entries durable."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
