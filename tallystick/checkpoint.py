"""A checkpoint: the signed (origin, size, root) of a log (C2SP tlog-checkpoint; docs/format.md,
section 7).

::

    tallystick/<gateway id>
    <size>
    <base64 of the root>

    — tallystick/<gateway id> <base64>

The size is signed as well as the root, so that nobody can give a leaf another index.
"""

from __future__ import annotations

from typing import Final

from tallystick import limits, note
from tallystick.cose import Signer
from tallystick.errors import FormatError
from tallystick.keys import PublicKey
from tallystick.note import Note, VerifierKey
from tallystick.value import Value

__all__ = ["Checkpoint", "gateway_name", "ledger_name", "parse", "parse_text", "sign", "text"]

LOG_PREFIX: Final = "tallystick/"
LEDGER_PREFIX: Final = "tallystick-ledger/"


class Checkpoint(Value):
    """A checkpoint as it came (`note.raw`), not verified. `root` has 32 bytes, `size` counts
    leaves.
    """

    note: Note
    origin: str
    size: int
    root: bytes

    @property
    def raw(self) -> bytes:
        """The exact bytes of the note."""
        return self.note.raw

    def verify(self, key: VerifierKey) -> None:
        """Return if `key` is the log of this origin and signed it; `FormatError` or
        `SignatureError` otherwise.
        """
        if key.name != self.origin:
            raise FormatError("checkpoint.origin", f"{self.origin!r} is not the log {key.name!r}")
        self.note.verify(key)


def gateway_name(key: PublicKey) -> str:
    """Origin and key name of the gateway whose key is `key`."""
    return LOG_PREFIX + key.kid.hex()


def ledger_name(ledger: bytes) -> str:
    """Origin and key name of the ledger with this id."""
    return LEDGER_PREFIX + ledger.hex()


def parse(raw: bytes, *, extensions: bool = False) -> Checkpoint:
    """`raw` as a checkpoint; `FormatError` or `LimitError` (`checkpoint.*`, `note.*`) otherwise.

    `extensions`: other logs may add lines of their own (C2SP tlog-checkpoint); ours have none.
    """
    signed = note.parse(raw)
    return Checkpoint(signed, *parse_text(signed.text, extensions=extensions))


def parse_text(signed: str, *, extensions: bool = False) -> tuple[str, int, bytes]:
    """(origin, size, root) of the text that such a note signs; `FormatError` otherwise."""
    lines = signed[:-1].split("\n")
    if len(lines) != 3 and not (extensions and len(lines) > 3 and all(lines)):
        raise FormatError("checkpoint.shape", "a checkpoint has three lines: origin, size, root")
    origin, size, root = lines[:3]
    if not origin:
        raise FormatError("checkpoint.origin", "the origin is missing")
    if not size.isascii() or not size.isdigit() or (size[0] == "0" and size != "0"):
        raise FormatError("checkpoint.size", f"{size[:32]!r} is not a size")
    if len(size) > 19 or int(size) > limits.TREE_SIZE:
        raise FormatError("checkpoint.size", f"{size[:32]!r} is above the limit")
    value = note.one_base64(root, "checkpoint.root")
    if len(value) != 32:
        raise FormatError("checkpoint.root", f"{root[:64]!r} is not the base64 of 32 bytes")
    return origin, int(size), value


def sign(signer: Signer, origin: str, size: int, root: bytes) -> bytes:
    """The note that says: the log `origin` has `size` leaves and this root."""
    return note.sign(text(origin, size, root), signer, origin)


def text(origin: str, size: int, root: bytes) -> str:
    """What such a note signs: its three lines."""
    return f"{origin}\n{size}\n{note.base64_text(root)}\n"
