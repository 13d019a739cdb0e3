"""Signs the log's size and root, and never two trees that fork (docs/format.md, section 7).

1. A checkpoint is persisted before anyone sees it: in the database, if the newest there still is
   the one that it follows, and in the high-water file, which stands outside of the data folder and
   its backups.
2. Nothing is signed after a start before `settle`: by then everyone has had time to show what we
   signed in another life.
3. Whatever (size, root) of our own origin is shown, then or later, our tree must contain it. If it
   does not, this log has been restored from a copy or belongs to somebody else's twin: the state is
   `frozen`. Records are still taken in and acknowledged, with the checkpoint that was signed last;
   no checkpoint is signed until `new-log` makes a new origin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from tallystick import checkpoint, limits, merkle
from tallystick.checkpoint import Checkpoint
from tallystick.errors import TallystickError
from tallystick_gateway import bounds
from tallystick_gateway.folder import Folder, FolderError, Identity, write_whole
from tallystick_gateway.log import Log
from tallystick_gateway.rows import StoredCheckpoint
from tallystick_gateway.store import Store

__all__ = ["Checkpoints", "HighWater"]

log = structlog.get_logger()

_FROZEN: Final = "frozen"


class HighWater:
    """The largest (size, root) signed under each origin, in a file that a restored backup does not
    bring back.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, tuple[int, bytes]]:
        """By origin; empty if there is no file. `FolderError` if there is one that cannot be read."""
        try:
            with self.path.open("rb") as file:
                data = file.read(bounds.HIGH_WATER_BYTES)
            value = json.loads(data)
            logs = value["logs"]
            if value["version"] != 1 or not isinstance(logs, Mapping):
                raise ValueError("another version")
            return {origin: _mark(mark) for origin, mark in logs.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, TallystickError) as error:
            raise FolderError(
                f"cannot read the high-water file {str(self.path)!r}: {error}",
                hint="restore it; or, if it is lost for good, remove it and run tally-gateway new-log",
            ) from error

    def raise_to(self, origin: str, size: int, root: bytes) -> None:
        """Durable when it returns; never lowers a mark."""
        marks = self.read()
        if origin in marks and marks[origin][0] >= size:
            return
        marks[origin] = (size, root)
        logs = {name: {"size": s, "root": r.hex()} for name, (s, r) in sorted(marks.items())}
        write_whole(self.path, json.dumps({"version": 1, "logs": logs}, indent=1).encode() + b"\n")


class Checkpoints:
    """The signing state of one log. `newest` is the last checkpoint that was signed and persisted."""

    def __init__(self, identity: Identity, store: Store, folder: Folder, high: HighWater) -> None:
        self._identity = identity
        self._store = store
        self._path = folder.log / "checkpoint"
        self._high = high
        self.newest = store.newest_checkpoint(identity.origin)
        self._persisted = self.newest  # ahead of `newest` only while the high-water file lags
        self.frozen: str | None = store.fact(_FROZEN)
        self.settled = False
        self._seen: dict[int, bytes] = {}  # roots of ours by size, the latest few

    @property
    def size(self) -> int:
        """Of the newest checkpoint, 0 if there is none."""
        return self.newest.size if self.newest else 0

    @property
    def root(self) -> bytes:
        """Of the newest checkpoint, that of the empty tree if there is none."""
        return self.newest.root if self.newest else merkle.EMPTY_ROOT

    def compare_own(self, tree: Log) -> None:
        """Compare the tree with our own memory: database and high-water file."""
        if self.newest is not None:
            self.shown("our own database", self.newest.size, self.newest.root, tree)
        mark = self._high.read().get(self._identity.origin)
        if mark is not None:
            self.shown("the high-water file", *mark, tree)
        elif self.newest is not None:
            log.warning("no high-water mark of this log", file=str(self._high.path))
        if self.newest is not None and self.frozen is None:
            self._finish(self.newest)

    def shown_note(self, source: str, raw: bytes, tree: Log) -> None:
        """Somebody shows a note: if we signed it, our tree must contain it."""
        try:
            note = checkpoint.parse(raw)
            note.verify(self._identity.verifier)
        except TallystickError as error:
            # anybody can publish a note in our name; only our signature makes it ours
            log.warning("not a checkpoint of ours", source=source, reason=str(error))
            return
        self.shown(source, note.size, note.root, tree)

    def shown(self, source: str, size: int, root: bytes, tree: Log) -> None:
        """Somebody shows a (size, root) of our origin; freeze if our tree does not contain it."""
        if self.frozen is not None:
            return
        if size > tree.size:
            self._freeze(f"{source} shows size {size}, this log has {tree.size}")
        elif self._root_at(size, tree) != root:
            self._freeze(f"{source} shows another root at size {size}")

    def sign(self, tree: Log, now: int) -> StoredCheckpoint | None:
        """A checkpoint of the tree as it is, persisted; None if there is nothing to sign or it must
        not be signed.
        """
        if self.frozen is not None or not self.settled or tree.size <= self.size:
            return None
        if self._persisted is not None and self._persisted != self.newest:
            return self._finish(self._persisted)
        size, root = tree.size, tree.root()
        tree.publish()
        signed = self._signed(size, root)
        if not self._store.put_checkpoint(signed, self._persisted, now):
            self._freeze("another process has signed for this log")
            return None
        self._persisted = StoredCheckpoint(size, root, signed.raw)
        self._remember(size, root)
        return self._finish(self._persisted)

    def _finish(self, persisted: StoredCheckpoint) -> StoredCheckpoint:
        """The second place that must hold it, then the file that shows it."""
        self._high.raise_to(self._identity.origin, persisted.size, persisted.root)
        self.newest = persisted
        write_whole(self._path, persisted.note)
        return persisted

    def _signed(self, size: int, root: bytes) -> Checkpoint:
        return checkpoint.parse(
            checkpoint.sign(self._identity.key, self._identity.origin, size, root)
        )

    def _root_at(self, size: int, tree: Log) -> bytes:
        known = self._seen.get(size)
        if known is None:
            known = tree.root_at(size)
            self._remember(size, known)
        return known

    def _remember(self, size: int, root: bytes) -> None:
        self._seen[size] = root
        if len(self._seen) > bounds.CHECKPOINTS:
            self._seen.pop(next(iter(self._seen)))

    def _freeze(self, reason: str) -> None:
        self.frozen = reason
        log.error("frozen: no checkpoint is signed", reason=reason, hint="tally-gateway new-log")
        self._store.set_fact(_FROZEN, reason)


def _mark(value: Mapping[str, object]) -> tuple[int, bytes]:
    size, root = value["size"], value["root"]
    if not isinstance(size, int) or not 0 <= size <= limits.TREE_SIZE or not isinstance(root, str):
        raise ValueError("not a size and a root")
    return size, bytes.fromhex(root)
