"""C2SP signed notes (c2sp.org/signed-note) with Ed25519 signatures, in their one spelling.

A note is a text that ends in a newline, an empty line, and signature lines::

    — <key name> base64(key id || signature)

Key id = SHA-256(name || 0A || 01 || public key)[:4]. A verifier key is written `name+hex key
id+base64(01 || public key)`. Signatures of keys that are not known are ignored; one of a known key
that fails spoils the note.
"""

from __future__ import annotations

import binascii
import re
from hashlib import sha256
from typing import Final

from tallystick import limits
from tallystick.cose import Signer
from tallystick.errors import FormatError, KeyUnknownError, LimitError
from tallystick.keys import ED25519, PublicKey
from tallystick.value import Value, computed

__all__ = ["Note", "Signature", "VerifierKey", "parse", "sign"]

ED25519_TYPE: Final = b"\x01"
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")
_DASH: Final = "\N{EM DASH} "
KEY_ID_BYTES: Final = 4


class VerifierKey(Value):
    """A name and the key that signs under it: what a policy trusts."""

    name: str
    key: PublicKey

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(c.isspace() for c in self.name):
            raise FormatError("note.key-name", f"{self.name!r} is no key name")
        if self.key.alg != ED25519:
            raise FormatError("note.key-type", "notes are signed with Ed25519")

    @computed
    def id(self) -> bytes:
        """The four bytes that start this key's signatures."""
        return sha256(self.name.encode() + b"\n" + ED25519_TYPE + self.key.raw).digest()[:4]

    def __str__(self) -> str:
        encoded = base64_text(ED25519_TYPE + self.key.raw)
        return f"{self.name}+{self.id.hex()}+{encoded}"

    @classmethod
    def parse(cls, line: str) -> VerifierKey:
        """`name+hex+base64`; `FormatError` (`note.vkey`) or `KeyRefusedError` otherwise."""
        name, _, rest = line.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        data = one_base64(encoded, "note.vkey")
        if len(data) != 33 or data[:1] != ED25519_TYPE:
            raise FormatError("note.vkey", f"{line[:80]!r} is not a verifier key of Ed25519")
        key = cls(name, PublicKey.from_bytes(data[1:], ED25519))
        # stops a line that was cut or mistyped from naming another key
        if key.id.hex() != key_id:
            raise FormatError("note.vkey", f"{line[:80]!r}: the key id does not fit the key")
        return key


class Signature(Value):
    """One signature line, not verified."""

    name: str
    key_id: bytes
    signature: bytes


class Note(Value):
    """A note as it came. `text` holds the final newline; nothing is verified yet."""

    raw: bytes
    text: str
    signatures: tuple[Signature, ...]

    def verify(self, key: VerifierKey) -> None:
        """Return if `key` signed the text.

        Raises `KeyUnknownError` (`note.unsigned`) if there is no line of that key,
        `SignatureError` if one fails.
        """
        found = False
        for line in self.signatures:
            if line.name == key.name and line.key_id == key.id:
                key.key.verify(line.signature, self.text.encode())
                found = True
        if not found:
            raise KeyUnknownError("note.unsigned", f"no signature line of {key.name}")


def parse(raw: bytes) -> Note:
    """`raw` as a note; `FormatError` or `LimitError` (`note.*`) otherwise. No signature is
    checked.
    """
    if len(raw) > limits.NOTE_BYTES:
        raise LimitError("note.too-long", f"{len(raw)} bytes, the limit is {limits.NOTE_BYTES}")
    try:
        whole = raw.decode()
    except UnicodeDecodeError as error:
        raise FormatError("note.text", "not UTF-8") from error
    if _CONTROL.search(whole):
        raise FormatError("note.text", "control characters")
    head, blank, tail = whole.rpartition("\n\n")
    if not blank or not head or not tail.endswith("\n"):
        raise FormatError("note.shape", "a note is a text, an empty line and signature lines")
    lines = tail[:-1].split("\n")
    if len(lines) > limits.NOTE_SIGNATURES:
        raise LimitError("note.signatures", f"{len(lines)} signature lines")
    return Note(raw, head + "\n", tuple(_signature(line) for line in lines))


def sign(text: str, signer: Signer, name: str) -> bytes:
    """The note of `text` (which ends in a newline), signed by `signer` as `name`."""
    key = VerifierKey(name, signer.public)
    encoded = base64_text(key.id + signer.sign(text.encode()))
    return f"{text}\n{_DASH}{name} {encoded}\n".encode()


def _signature(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise FormatError("note.signature-line", f"{line[:80]!r} is not a signature line")
    name, _, encoded = line[len(_DASH) :].partition(" ")
    data = one_base64(encoded, "note.signature-line")
    if not name or len(data) <= KEY_ID_BYTES:
        raise FormatError("note.signature-line", f"{line[:80]!r} is not a signature line")
    return Signature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def base64_text(data: bytes) -> str:
    """The one base64 of `data` (RFC 4648, 4)."""
    return binascii.b2a_base64(data, newline=False).decode()


def one_base64(encoded: str, code: str) -> bytes:
    """The bytes of a base64 text in its one spelling; `FormatError` with `code` otherwise."""
    try:
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError as error:  # binascii.Error is one; a text that is not ASCII gives another
        raise FormatError(code, f"{encoded[:64]!r} is not base64") from error
    if base64_text(data) != encoded:
        raise FormatError(code, f"{encoded[:64]!r} is not the one base64 of its bytes")
    return data
