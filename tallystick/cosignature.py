"""Cosignatures of witnesses under a checkpoint (c2sp.org/tlog-cosignature, Ed25519).

A witness that has seen a log only grow adds a line to its checkpoint. It signs the note's text behind a moment::

    cosignature/v1
    time <Unix seconds>
    <the text of the note>

and its line carries key id || time (8 bytes) || signature (64 bytes). The key id is SHA-256(name || 0A || 04 || public
key)[:4], and a witness's verifier key reads `name+hex key id+base64(04 || public key)`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from tallystick import limits
from tallystick.cose import Signer
from tallystick.errors import FormatError, SignatureError
from tallystick.keys import ED25519, SIGNATURE_BYTES, PublicKey
from tallystick.note import KEY_ID_BYTES, Note, base64_text, one_base64
from tallystick.value import Value, computed

__all__ = ["WitnessKey", "sign"]

COSIGNATURE_TYPE: Final = b"\x04"
_LABEL: Final = "cosignature/v1"
_TIME_BYTES: Final = 8


class WitnessKey(Value):
    """A witness's name and key: what a policy trusts to have seen a log only grow."""

    name: str
    key: PublicKey

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(c.isspace() for c in self.name):
            raise FormatError("note.key-name", f"{self.name!r} is no key name")

    @computed
    def id(self) -> bytes:
        """The four bytes that start this witness's lines."""
        start = self.name.encode() + b"\n" + COSIGNATURE_TYPE
        return sha256(start + self.key.raw).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        encoded = base64_text(COSIGNATURE_TYPE + self.key.raw)
        return f"{self.name}+{self.id.hex()}+{encoded}"

    @classmethod
    def parse(cls, line: str) -> WitnessKey:
        """`name+hex+base64`; `FormatError` (`note.vkey`) or `KeyRefusedError` otherwise."""
        name, _, rest = line.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        data = one_base64(encoded, "note.vkey")
        if len(data) != 33 or data[:1] != COSIGNATURE_TYPE:
            raise FormatError(
                "note.vkey",
                f"{line[:80]!r} is not the verifier key of a witness",
                hint="a witness's key has type 04 (Ed25519 cosignature), not that of a log",
            )
        key = cls(name, PublicKey.from_bytes(data[1:], ED25519))
        # stops a line that was cut or mistyped from naming another key
        if key.id.hex() != key_id:
            raise FormatError("note.vkey", f"{line[:80]!r}: the key id does not fit the key")
        return key

    def seen_at(self, note: Note) -> int | None:
        """When this witness cosigned `note` (Unix seconds, by its own clock; the latest if it did so twice); None if
        it has no line in it. `SignatureError` if one of its lines does not verify.
        """
        own = (self.name, self.id)
        lines = [line for line in note.signatures if (line.name, line.key_id) == own]
        return max((self._time(line.signature, note.text) for line in lines), default=None)

    def _time(self, signature: bytes, text: str) -> int:
        if len(signature) != _TIME_BYTES + SIGNATURE_BYTES:
            raise SignatureError("signature.length", f"{len(signature)} bytes, expected 72")
        time = int.from_bytes(signature[:_TIME_BYTES], "big")
        self.key.verify(signature[_TIME_BYTES:], _signed(text, time))
        return min(time, limits.TIME)


def sign(witness: Signer, name: str, note: Note, time: int) -> bytes:
    """The note with one more line: what a witness does, and a simulator of one."""
    key = WitnessKey(name, witness.public)
    stamp = time.to_bytes(_TIME_BYTES, "big")
    encoded = base64_text(key.id + stamp + witness.sign(_signed(note.text, time)))
    return note.raw + f"\N{EM DASH} {name} {encoded}\n".encode()


def _signed(text: str, time: int) -> bytes:
    return f"{_LABEL}\ntime {time}\n{text}".encode()
