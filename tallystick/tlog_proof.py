"""C2SP transparency log proofs and policies: one record's place in a gateway's log, for other people's tools
(c2sp.org/tlog-proof, c2sp.org/tlog-policy).

::

    c2sp.org/tlog-proof@v1
    extra <base64 of the record>
    index 73894
    <base64 of a hash, from the leaf's sibling up>

    tallystick/0123456789abcdef
    109482
    sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

    — tallystick/0123456789abcdef hI2DJw...

The leaf hash is SHA-256(00 || record). The record stands in `extra`, so that the file holds all that a verifier needs;
as the specification says, it is trusted only because the path leads from it to the signed root.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from typing import Final

from tallystick import checkpoint, limits, merkle
from tallystick.checkpoint import Checkpoint
from tallystick.errors import FormatError, LimitError
from tallystick.note import VerifierKey

__all__ = ["parse", "policy", "text", "verify"]

HEADER: Final = "c2sp.org/tlog-proof@v1"
_BYTES: Final = 65_536
_INDEX: Final = re.compile("index (0|[1-9][0-9]{0,18})")


def text(record: bytes, index: int, path: Sequence[bytes], checkpoint: bytes) -> bytes:
    """The proof that `record` is leaf `index` of the log of this checkpoint (a signed note)."""
    lines = [HEADER, f"extra {_base64(record)}", f"index {index}", *map(_base64, path), ""]
    return "\n".join(lines).encode() + b"\n" + checkpoint


def parse(data: bytes) -> tuple[bytes | None, int, list[bytes], Checkpoint]:
    """(extra, index, path, checkpoint) of a proof; `FormatError` (`tlog.proof`) or `LimitError` otherwise. Nothing is
    verified.
    """
    if len(data) > _BYTES:
        raise LimitError("tlog.proof", f"{len(data)} bytes, the limit is {_BYTES}")
    head, blank, note = data.partition(b"\n\n")
    try:
        lines = head.decode().split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("tlog.proof", "not UTF-8") from error
    if not blank or lines[0] != HEADER or len(lines) < 2:
        raise FormatError("tlog.proof", f"it does not start with {HEADER}")
    extra = None
    if lines[1].startswith("extra "):
        extra = _decoded(lines.pop(1)[len("extra ") :])
    match = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
    if match is None:
        raise FormatError("tlog.proof", "the line with the index is missing")
    path = [_decoded(line) for line in lines[2:]]
    if any(len(one) != merkle.HASH_BYTES for one in path) or len(path) > limits.PATH_HASHES:
        raise FormatError("tlog.proof", "a hash has 32 bytes")
    return extra, int(match[1]), path, checkpoint.parse(note)


def verify(data: bytes, key: VerifierKey, entry: bytes | None = None) -> bytes:
    """The entry (the record in `extra`, if `entry` is None) that is proven to stand in the log of `key`.

    `EvidenceError` if a check fails, `FormatError` if there is nothing to check.
    """
    extra, index, path, signed = parse(data)
    entry = extra if entry is None else entry
    if entry is None:
        raise FormatError("tlog.proof", "the file holds no entry: give it")
    signed.verify(key)
    merkle.verify_inclusion(merkle.leaf_hash(entry), index, signed.size, path, signed.root)
    return entry


def policy(logs: Iterable[VerifierKey]) -> str:
    """The tlog-policy that trusts these logs. No witness cosigns a gateway's log: the quorum is none, and the ledger
    that anchors it is outside what this format can say.
    """
    return "\n".join([*(f"log {one}" for one in logs), "quorum none", ""])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(line: str) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except ValueError as error:
        raise FormatError("tlog.proof", f"{line[:64]!r} is not base64") from error
    if _base64(data) != line:
        raise FormatError("tlog.proof", f"{line[:64]!r} is not the one base64 of its bytes")
    return data
