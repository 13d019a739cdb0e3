"""A copy of a gateway's data folder, and a data folder made of one.

::

    BACKUP/backup.json      what was copied: origin, size and root, and the SHA-256 of each file
    BACKUP/gateway.db       the database, of one moment
    BACKUP/gateway.key      the private key, mode 0600: guard the backup as you guard the gateway
    BACKUP/enrolment.json   if there is one
    BACKUP/updates/         the update files for boards, as they are in DIR/updates/

Tiles are not copied: they follow from the database. Neither is the high-water file, which exists to
remember what a backup does not know. The folder is whole or not there.

A gateway that is restored from an old copy must not sign another history than the one that it signed
after the copy (docs/format.md, section 7): `restore` compares with the high-water file at once, the
service with everything that others show.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tallystick_gateway import bounds
from tallystick_gateway.checkpoints import Checkpoints, HighWater
from tallystick_gateway.folder import PRIVATE_MODE, Folder, FolderError, sync_folder, write_whole
from tallystick_gateway.log import Log
from tallystick_gateway.store import Store

__all__ = ["Copied", "backup", "restore"]

VERSION: Final = 1
_MANIFEST: Final = "backup.json"
_FILES: Final = ("gateway.db", "gateway.key", "enrolment.json")
# a board that was offered an update asks for its parts, whichever machine the gateway runs on by then
_UPDATE: Final = re.compile(r"updates/[0-9a-f]{64}\.tallyup")
_CHUNK: Final = 2**20

Progress = Callable[[int, int], None]  # done, all


@dataclass(frozen=True)
class Copied:
    """What a backup holds; `frozen` says why the restored gateway does not sign."""

    origin: str
    size: int
    signed: int
    frozen: str | None = None


def backup(folder: Folder, target: Path, progress: Progress) -> Copied:
    """Copy `folder`, which may be in use, to `target`, which must not be there."""
    identity = folder.identity()
    if target.exists():
        raise FolderError(f"{str(target)!r} is there already", hint="name a folder that is not")
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    try:
        store = Store.read(folder.database)
        try:
            store.copy_to(fresh / "gateway.db", progress)
        finally:
            store.close()
        for source in (folder.key, folder.enrolment):
            if source.exists():
                _copy(source, fresh / source.name)
        names = [name for name in _FILES if (fresh / name).exists()] + _updates(folder, fresh)
        copied = _look(fresh / "gateway.db", identity.origin)
        said = {
            "version": VERSION,
            "at": int(time.time()),
            "origin": copied.origin,
            "size": copied.size,
            "signed": copied.signed,
            "files": {name: _digest(fresh / name) for name in names},
        }
        write_whole(fresh / _MANIFEST, json.dumps(said, indent=1).encode() + b"\n")
        fresh.rename(target)
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return copied


def _updates(folder: Folder, fresh: Path) -> list[str]:
    """Copy the update files; their names within the backup."""
    names: list[str] = []
    for path in sorted(folder.updates.glob("*")):
        name = f"{folder.updates.name}/{path.name}"
        if not _UPDATE.fullmatch(name):
            continue
        try:
            _copy(path, fresh / name)
        except FileNotFoundError:  # a newer one took its place meanwhile
            (fresh / name).unlink(missing_ok=True)
            continue
        names.append(name)
    return names


def restore(source: Path, folder: Folder, high_water: Path, progress: Progress) -> Copied:
    """Make `folder`, in which there must be no gateway, of the backup `source`."""
    said = _manifest(source)
    if folder.key.exists() or folder.database.exists():
        raise FolderError(
            f"there is a gateway in {str(folder.path)!r}",
            hint="move it away first: two gateways with one key fork the log",
        )
    for name, digest in said["files"].items():
        if _digest(source / name) != digest:
            raise FolderError(
                f"{str(source / name)!r} is not what was copied", hint="use another backup"
            )
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with folder.locked():
        # the key comes last: without it there is no gateway here
        for name in sorted(said["files"], key=lambda name: name == folder.key.name):
            _copy(source / name, folder.path / name)
        return _rebuild(folder, high_water, progress)


def _rebuild(folder: Folder, high_water: Path, progress: Progress) -> Copied:
    """Write the tiles, and compare with what was signed after the copy."""
    identity = folder.identity()
    store = Store.open(folder.database)
    try:
        size = store.size()
        tree = Log.open(folder.log, store.entries, size, rebuild=True, progress=progress)
        points = Checkpoints(identity, store, folder, HighWater(high_water))
        newest = points.newest
        if newest is not None and newest.size <= size and tree.root_at(newest.size) != newest.root:
            raise FolderError(
                "the leaves do not have the root that was signed for them",
                hint="this backup is damaged: use another one",
            )
        points.compare_own(tree)
        return Copied(identity.origin, size, points.size, points.frozen)
    finally:
        store.close()


def _look(database: Path, origin: str) -> Copied:
    store = Store.read(database)
    try:
        newest = store.newest_checkpoint(origin)
        return Copied(origin, store.size(), newest.size if newest else 0)
    finally:
        store.close()


def _manifest(source: Path) -> dict[str, Any]:
    try:
        with (source / _MANIFEST).open("rb") as file:
            said = json.loads(file.read(bounds.HIGH_WATER_BYTES))
        files = said["files"]
        known = all(name in _FILES or _UPDATE.fullmatch(name) for name in files)
        good = said["version"] == VERSION and known
        if not good or not {"gateway.db", "gateway.key"} <= set(files):
            raise ValueError("another form")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FolderError(
            f"{str(source)!r} is no backup of a gateway: {error}",
            hint="give the folder that tally-gateway backup has written",
        ) from error
    return dict(said)


def _copy(source: Path, target: Path) -> None:
    """A durable copy; private, because one of them is the key. It keeps its time, by which updates are
    ordered.
    """
    target.parent.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    with os.fdopen(handle, "wb") as to, source.open("rb") as file:
        shutil.copyfileobj(file, to, _CHUNK)
        to.flush()
        status = os.fstat(file.fileno())
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(to.fileno())
    sync_folder(target.parent)


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
