"""Bitstring Status List 1.0 (W3C): which credentials of an issuer are suspended or revoked, a bit each.

A list has one purpose and at least 131,072 entries, so that nobody learns from a look at it whose credential was
looked up. Index 0 is the leftmost bit. `encode` is GZIP, then base64url without padding behind a `u`; the whole is
a verifiable credential that the issuer signs, and speaks for the moment of its `validFrom`.

The two lists of number n are named `<base>/status/<n>/suspension` and `<base>/status/<n>/revocation`; a credential
that a board carries names n and the index alone.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from enum import StrEnum
from typing import Final

from tallystick import limits, timestamp
from tallystick.errors import FormatError, LimitError
from tallystick.jcs import Object
from tallystick.value import Value

__all__ = [
    "ENTRIES",
    "Purpose",
    "StatusList",
    "StatusListCredential",
    "document",
    "list_id",
    "parse",
]

ENTRIES: Final = 131_072  # the fewest that the standard allows: 16 KiB
CONTEXT: Final = ["https://www.w3.org/ns/credentials/v2"]
_TYPES: Final = ["VerifiableCredential", "BitstringStatusListCredential"]
_ID: Final = re.compile(r"[a-z][a-z0-9+.-]{0,15}:[!-~]{1,256}/status/([1-9][0-9]{0,4})/([a-z]+)")
_ENCODED: Final = re.compile("u[A-Za-z0-9_-]+")
_GZIP: Final = 31  # zlib's wbits for a GZIP member
_MEMBERS: Final = {"@context", "id", "type", "issuer", "validFrom", "credentialSubject", "proof"}
_SUBJECT: Final = {"id", "type", "statusPurpose", "encodedList"}


class Purpose(StrEnum):
    """What a set bit means: `SUSPENSION` may be taken back, `REVOCATION` never is."""

    SUSPENSION = "suspension"
    REVOCATION = "revocation"


class StatusList:
    """The bits. `size` is their number, a multiple of 8."""

    def __init__(self, size: int = ENTRIES, bits: bytes | None = None) -> None:
        if not ENTRIES <= size <= limits.STATUS_ENTRIES or size % 8:
            raise FormatError("status.size", f"{size} entries, a list has 131,072 to 1,048,576")
        self.size = size
        self._bits = bytearray(size // 8) if bits is None else bytearray(bits)

    def get(self, index: int) -> bool:
        """Is the bit of `index` set? `FormatError` (`status.index`) for an index that the list does not have."""
        byte, bit = self._place(index)
        return bool(self._bits[byte] & bit)

    def set(self, index: int, value: bool = True) -> None:
        """Set the bit of `index`, or with False take it back."""
        byte, bit = self._place(index)
        self._bits[byte] = self._bits[byte] | bit if value else self._bits[byte] & ~bit

    def count(self) -> int:
        """How many bits are set."""
        return int.from_bytes(self._bits, "big").bit_count()

    def encode(self) -> str:
        """The `encodedList`."""
        packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
        packed = packer.compress(bytes(self._bits)) + packer.flush()
        return "u" + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def decode(cls, encoded: object) -> StatusList:
        """The list in an `encodedList`; `FormatError` or `LimitError` (`status.*`) otherwise."""
        if not isinstance(encoded, str) or not _ENCODED.fullmatch(encoded):
            raise FormatError("status.encoding", "encodedList is not base64url behind a 'u'")
        if len(encoded) > limits.VC_BYTES:
            raise LimitError("status.too-long", f"an encodedList of {len(encoded)} characters")
        try:
            packed = base64.urlsafe_b64decode(encoded[1:] + "=" * (-(len(encoded) - 1) % 4))
            unpacker = zlib.decompressobj(_GZIP)
            # stops a few bytes that unpack to gigabytes: what is beyond the limit is never made
            bits = unpacker.decompress(packed, limits.STATUS_ENTRIES // 8 + 1)
        except (binascii.Error, ValueError, zlib.error) as error:
            raise FormatError("status.encoding", "encodedList is not GZIP in base64url") from error
        if len(bits) > limits.STATUS_ENTRIES // 8:
            raise LimitError("status.too-long", f"more than {limits.STATUS_ENTRIES} entries")
        if not unpacker.eof or unpacker.unused_data:
            raise FormatError("status.encoding", "encodedList is cut off, or something follows it")
        return cls(len(bits) * 8, bits)

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < self.size:
            raise FormatError("status.index", f"index {index} in a list of {self.size}")
        return index // 8, 0x80 >> index % 8


class StatusListCredential(Value):
    """A status list as it came, not verified: `valid_from` is the moment it speaks for (Unix seconds)."""

    id: str
    issuer: str
    number: int
    purpose: Purpose
    valid_from: int
    list: StatusList


def list_id(base: str, number: int, purpose: Purpose) -> str:
    """The name of a list: a URL below `base`, which is a web address or the issuer's DID."""
    name = f"{base.rstrip('/')}/status/{number}/{purpose}"
    _numbered(name)
    return name


def document(bits: StatusList, id: str, issuer: str, valid_from: int) -> Object:
    """The credential of a list, to be signed by `tallystick.data_integrity`."""
    _, purpose = _numbered(id)
    return {
        "@context": CONTEXT,
        "id": id,
        "type": _TYPES,
        "issuer": issuer,
        "validFrom": timestamp.text(valid_from),
        "credentialSubject": {
            "id": f"{id}#list",
            "type": "BitstringStatusList",
            "statusPurpose": purpose,
            "encodedList": bits.encode(),
        },
    }


def parse(given: Object) -> StatusListCredential:
    """A JSON document as a status list; `FormatError` (`status.*`) otherwise. No signature is checked."""
    subject = given.get("credentialSubject")
    if (
        not set(given) <= _MEMBERS
        or given.get("@context") != CONTEXT
        or given.get("type") != _TYPES
    ):
        raise FormatError("status.shape", "not a BitstringStatusListCredential")
    if not isinstance(subject, dict) or not set(subject) <= _SUBJECT:
        raise FormatError("status.shape", "its subject is not a list")
    id, issuer = given.get("id"), given.get("issuer")
    if not isinstance(id, str) or not isinstance(issuer, str):
        raise FormatError("status.shape", "a status list has an id and an issuer")
    number, purpose = _numbered(id)
    # stops a list of suspensions from being shown as one of revocations, under the other's name
    if subject.get("type") != "BitstringStatusList" or subject.get("statusPurpose") != purpose:
        raise FormatError("status.purpose", f"not the list for {purpose} that its id names")
    bits = StatusList.decode(subject.get("encodedList"))
    valid_from = timestamp.seconds(given.get("validFrom"), "validFrom")
    return StatusListCredential(id, issuer, number, purpose, valid_from, bits)


def _numbered(id: str) -> tuple[int, Purpose]:
    """Number and purpose in the id of a list."""
    match = _ID.fullmatch(id)
    if match is None or int(match[1]) > limits.STATUS_LISTS or match[2] not in set(Purpose):
        raise FormatError("status.id", f"{id[:128]!r} is not the id of a status list")
    return int(match[1]), Purpose(match[2])
