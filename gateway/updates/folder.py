"""Update files in `DIR/updates/`, and those that are still coming in.

1. A file is kept when all of it is here, its SHA-256 is its name, and every object in it is the one that
   its manifest names. Whether anybody believes the signature is the boards' to say.
2. The newest `bounds.UPDATES` are kept; an older one goes when another comes. One that is brought again is the newest.
3. What is coming in is held in memory, of a bounded number at a time: whoever sends it asks after a restart
   how much is here, and goes on.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from tallystick import limits, update
from tallystick.errors import FormatError, LimitError, PathError, TallystickError
from tallystick.update import Update, Want
from tallystick_gateway import bounds
from tallystick_gateway.folder import write_whole

__all__ = ["UpdateFolder"]

log = structlog.get_logger()

_SUFFIX: Final = ".tallyup"


class UpdateFolder:
    """The folder. Used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[bytes, Update] = {}  # the oldest first
        self._coming: dict[bytes, bytearray] = {}

    def load(self) -> None:
        """Read what is there; what is damaged is left out, and said."""
        if not self._path.is_dir():
            return
        found = sorted(self._path.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)
        for path in found:
            try:
                one = update.parse(path.read_bytes())
            except (TallystickError, OSError) as error:
                log.warning("an update cannot be read", file=path.name, reason=str(error))
                continue
            self._kept[one.id] = one

    def kept(self) -> tuple[Update, ...]:
        """The files that are kept, the oldest first; from any thread."""
        return tuple(self._kept.values())

    def get(self, id: bytes) -> Update | None:
        """A file that is kept."""
        return self._kept.get(id)

    def take(self, id: bytes, size: int, offset: int, data: bytes) -> int:
        """Take a piece of the file `id`, of `size` bytes in all; how many bytes from its beginning are here.

        Raises the library's errors, and forgets what was coming in, if the whole is no update file.
        """
        if id in self._kept:
            self._kept[id] = self._kept.pop(id)
            with suppress(OSError):
                os.utime(self._file(id))
            return size
        if not 0 < size <= limits.UPDATE_BYTES:
            raise LimitError("update.too-long", f"{size} bytes, the limit is {limits.UPDATE_BYTES}")
        coming = self._coming.setdefault(id, bytearray())
        while len(self._coming) > bounds.UPDATES_COMING:
            del self._coming[next(one for one in self._coming if one != id)]
        if offset == len(coming):
            coming += data
        if len(coming) < size:
            return len(coming)
        del self._coming[id]
        if len(coming) > size:
            raise FormatError("update.shape", "the pieces are longer than the file")
        if sha256(coming).digest() != id:
            raise PathError("update.hash", "the pieces do not make the file that was named")
        self._keep(update.parse(bytes(coming)))
        return size

    def answer(self, want: Want) -> bytes | None:
        """The part that a board asks for, out of the newest file that has it."""
        for one in reversed(self._kept.values()):
            part = one.answer(want)
            if part is not None:
                return part
        return None

    def _keep(self, one: Update) -> None:
        write_whole(self._file(one.id), one.raw)
        self._kept[one.id] = one
        while len(self._kept) > bounds.UPDATES:
            oldest = next(iter(self._kept))
            self._file(oldest).unlink(missing_ok=True)
            del self._kept[oldest]

    def _file(self, id: bytes) -> Path:
        return self._path / f"{id.hex()}{_SUFFIX}"
