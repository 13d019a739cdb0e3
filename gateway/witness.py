"""A C2SP witness (tlog-witness, tlog-cosignature): remembers the last checkpoint of each log, and signs
that a new one only grew out of it.

1. A log is known by its origin and its key, which the operator gives.
2. A checkpoint is compared with the last one and kept in one step under a lock; it is on disk before
   anyone sees the cosignature.
3. Two signed checkpoints of one log that contradict each other are kept side by side as evidence, and
   nothing of that log is ever cosigned again, until a person has looked.

::

    STATE/witness.key                the cosigning key, mode 0600
    STATE/<origin hash>/checkpoint   the newest one, with the log's signature and ours
    STATE/<origin hash>/fork-<n>/    first.note, second.note, why.txt
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

from tallystick import checkpoint, cosignature, limits, merkle, note
from tallystick.checkpoint import Checkpoint
from tallystick.cosignature import WitnessKey
from tallystick.errors import FormatError, KeyUnknownError, SignatureError, TallystickError
from tallystick.keys import PrivateKey
from tallystick.note import Note, VerifierKey
from tallystick_gateway.folder import FolderError, write_whole

__all__ = ["Answer", "Refused", "Status", "Witness"]

PROOF_LINES: Final = 63
REQUEST_BYTES: Final = limits.NOTE_BYTES + 8_192
SIZE_TYPE: Final = "text/x.tlog.size"


class Status(IntEnum):
    """The HTTP status of tlog-witness that says why a checkpoint was not cosigned."""

    MALFORMED = 400
    UNSIGNED = 403
    UNKNOWN_LOG = 404
    ANOTHER_SIZE = 409
    INCONSISTENT = 422


class Refused(Exception):  # noqa: N818 # an answer, not an error of ours
    """Not cosigned. `size` is that of the last checkpoint, for `ANOTHER_SIZE`."""

    def __init__(self, status: Status, detail: str, size: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.size = status, detail, size


@dataclass(frozen=True)
class Answer:
    """What was kept: the checkpoint, and the cosignature line if this witness signs."""

    checkpoint: Checkpoint
    line: str


class Witness:
    """The state of some logs in a folder of its own; cosigns as `name` with `key`."""

    def __init__(self, folder: Path, logs: list[VerifierKey], name: str, key: PrivateKey) -> None:
        self._folder = folder
        self._logs = {log.name: log for log in logs}
        self._name, self._key = name, key
        self._lock = threading.Lock()
        self.verifier = WitnessKey(name, key.public)

    def folder(self, origin: str) -> Path:
        """Where the state of a log lies."""
        return self._folder / sha256(origin.encode()).hexdigest()

    def last(self, origin: str) -> Checkpoint | None:
        """The last checkpoint of a log that was kept; `FolderError` if it cannot be read."""
        path = self.folder(origin) / "checkpoint"
        try:
            kept = checkpoint.parse(path.read_bytes(), extensions=True)
            kept.verify(self._logs[origin])
        except FileNotFoundError:
            return None
        except (OSError, TallystickError) as error:
            # stops a damaged state from being taken for none, and a fork from being cosigned
            raise FolderError(
                f"cannot read {str(path)!r}: {error}", hint="restore it from a backup"
            ) from error
        return kept

    def kept(self, origin_hash: str) -> bytes | None:
        """The kept checkpoint, with both signatures, of the log whose origin has this SHA-256."""
        for origin in self._logs:
            if sha256(origin.encode()).hexdigest() == origin_hash and self.last(origin) is not None:
                return (self._folder / origin_hash / "checkpoint").read_bytes()
        return None

    def forked(self, origin: str) -> Path | None:
        """The evidence of a fork of this log, if there is any."""
        found = sorted(self.folder(origin).glob("fork-*"))
        return found[0] if found else None

    def add(self, body: bytes, now: int) -> Answer:
        """A request `add-checkpoint`: old size, proof, checkpoint. Raises `Refused`."""
        old, proof, shown = _request(body)
        return self.update(shown, old, proof, now)

    def verified(self, shown: Note) -> Checkpoint:
        """The note as a checkpoint that a known log has signed; `Refused` otherwise."""
        try:
            parsed = checkpoint.parse(shown.raw, extensions=True)
        except TallystickError as error:
            raise Refused(Status.MALFORMED, str(error)) from error
        log = self._logs.get(parsed.origin)
        if log is None:
            raise Refused(Status.UNKNOWN_LOG, f"no log {parsed.origin!r} is known here")
        try:
            parsed.verify(log)
        except (SignatureError, KeyUnknownError) as error:
            raise Refused(Status.UNSIGNED, str(error)) from error
        return parsed

    def update(self, shown: Note, old: int, proof: list[bytes], now: int) -> Answer:
        """Keep and cosign a checkpoint whose `proof` leads from the one of size `old`."""
        new = self.verified(shown)
        if old > new.size:
            raise Refused(Status.MALFORMED, f"old size {old} is above the size {new.size}")
        with self._lock:
            last = self.last(new.origin)
            if self.forked(new.origin) is not None:
                raise Refused(
                    Status.INCONSISTENT, f"{new.origin!r} has forked: nothing is cosigned"
                )
            size = last.size if last else 0
            if old != size:
                raise Refused(Status.ANOTHER_SIZE, f"the last size is {size}, not {old}", size)
            self._check(last, new, proof)
            line = cosignature.sign(self._key, self._name, shown, now)[len(shown.raw) :].decode()
            # only the log's own lines and ours: others' are for those who know them
            log = self._logs[new.origin]
            shown_lines = new.raw.decode().rpartition("\n\n")[2].splitlines(keepends=True)
            own = "".join(
                text
                for text, parsed in zip(shown_lines, new.note.signatures, strict=True)
                if parsed.name == log.name and parsed.key_id == log.id
            )
            kept = f"{new.note.text}\n{own}{line}".encode()
            write_whole(self.folder(new.origin) / "checkpoint", kept)
        return Answer(new, line)

    def _check(self, last: Checkpoint | None, new: Checkpoint, proof: list[bytes]) -> None:
        if new.size == 0 and new.root != merkle.EMPTY_ROOT:
            raise Refused(Status.INCONSISTENT, "size 0 with a root that is not the empty tree's")
        if last is not None and last.size == new.size and last.root != new.root:
            self.keep_fork(last, new, "one size, two roots")
            raise Refused(Status.INCONSISTENT, f"another root at size {new.size} was seen before")
        size, root = (last.size, last.root) if last else (0, merkle.EMPTY_ROOT)
        try:
            merkle.verify_consistency(size, root, new.size, new.root, proof)
        except TallystickError as error:
            # no proof of a fork: whoever asks may have sent a wrong path
            raise Refused(Status.INCONSISTENT, str(error)) from error

    def keep_fork(self, first: Checkpoint, second: Checkpoint, why: str) -> Path:
        """Keep two signed checkpoints that contradict each other; where."""
        folder = self.folder(first.origin)
        number = len(list(folder.glob("fork-*"))) + 1
        place = folder / f"fork-{number}"
        write_whole(place / "first.note", first.raw)
        write_whole(place / "second.note", second.raw)
        write_whole(place / "why.txt", f"{why}\n".encode())
        return place


def _request(body: bytes) -> tuple[int, list[bytes], Note]:
    """Old size, proof and note of a request; `Refused` if it is not one."""
    try:
        if len(body) > REQUEST_BYTES:
            raise FormatError("note.too-long", f"{len(body)} bytes")
        head, blank, rest = body.partition(b"\n\n")
        lines = head.decode().split("\n")
        size = lines[0].removeprefix("old ")
        plain = size.isascii() and size.isdigit() and len(size) <= 19 and str(int(size)) == size
        if not blank or lines[0] != f"old {size}" or not plain:
            raise FormatError("note.shape", "the first line is `old <size>`")
        if len(lines) - 1 > PROOF_LINES:
            raise FormatError("note.shape", f"more than {PROOF_LINES} lines of proof")
        proof = [base64.b64decode(one, validate=True) for one in lines[1:]]
        if any(len(one) != merkle.HASH_BYTES for one in proof):
            raise FormatError("note.shape", "a line of proof is the base64 of 32 bytes")
        return int(size), proof, note.parse(rest)
    except (TallystickError, ValueError) as error:
        raise Refused(Status.MALFORMED, str(error)) from error
