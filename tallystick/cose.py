"""COSE_Sign1 (RFC 9052) in the one shape that we use: docs/format.md, section 3.

18([protected {1: alg, 4: kid, 16: typ}, {}, payload, signature]). Parsing says nothing about the
signature: call `Signed.verify` with a key that you trust. The bytes are kept as they came; nothing
is ever encoded again.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final, Protocol

from tallystick import cbor, limits
from tallystick.errors import FormatError, LimitError, SignatureError
from tallystick.fields import is_int
from tallystick.keys import ED25519, ESP256, KID_BYTES, SIGNATURE_BYTES, PublicKey
from tallystick.value import Value, computed

__all__ = ["Signed", "Signer", "Typ", "parse", "protected_header", "sig_structure", "sign"]


class Typ(IntEnum):
    """What kind of object is signed, so that none can pass as another (RFC 9596)."""

    CREDENTIAL = 61
    RECORD = 65000
    POSSESSION = 65001
    ACKNOWLEDGEMENT = 65002
    COMMAND = 65003
    CHALLENGE = 65004
    GRANT = 65005
    BLOCK = 65006
    STATEMENT = 65007
    UPDATE = 65008


ALG_LABEL: Final = 1  # RFC 9052, 3.1
KID_LABEL: Final = 4
TYP_LABEL: Final = 16  # RFC 9596
_SIG_HEAD: Final = b"\x84\x6aSignature1"  # an array of four, and the context string
_TAGGED: Final = b"\xd2\x84"  # tag 18, an array of four
_SIGNATURE_HEAD: Final = b"\x58\x40"
_TAIL: Final = len(_SIGNATURE_HEAD) + SIGNATURE_BYTES


class Signer(Protocol):
    """Whatever signs: a `PrivateKey` here, a simulator's key, a hardware token."""

    @property
    def public(self) -> PublicKey: ...

    def sign(self, message: bytes) -> bytes: ...


class Signed(Value):
    """A signed object as it came: `raw` is the whole, `protected` and `payload` are slices of it,
    as signed.
    """

    raw: bytes
    alg: int
    kid: bytes
    typ: int
    protected: bytes
    payload: bytes
    signature: bytes

    # by hand: there is one for each record, and the general way takes twice the time
    def __init__(
        self,
        raw: bytes,
        alg: int,
        kid: bytes,
        typ: int,
        protected: bytes,
        payload: bytes,
        signature: bytes,
    ) -> None:
        own = self.__dict__
        own["raw"] = raw
        own["alg"] = alg
        own["kid"] = kid
        own["typ"] = typ
        own["protected"] = protected
        own["payload"] = payload
        own["signature"] = signature

    @computed
    def signed_bytes(self) -> bytes:
        """The Sig_structure: what the signature is over, header and payload as they stand in `raw`."""
        size = len(self.protected)
        end = len(_TAGGED) + cbor.head_size(size) + size
        return _SIG_HEAD + self.raw[len(_TAGGED) : end] + b"\x40" + self.raw[end + 1 : -_TAIL]

    @computed
    def id(self) -> bytes:
        """SHA-256 of what was signed (32 bytes)."""
        return sha256(self.signed_bytes).digest()

    def verify(self, key: PublicKey) -> None:
        """Return if `key` signed this, else raise `SignatureError`."""
        # stops algorithm confusion: the enrolled key fixes the algorithm, the header does not choose it
        if self.alg != key.alg or self.kid != key.kid:
            raise SignatureError(
                "signature.key", f"signed by key {self.kid.hex()}, not by {key.kid.hex()}"
            )
        key.verify(self.signature, self.signed_bytes)


@lru_cache(maxsize=256)  # a signer makes the same one all its life
def protected_header(alg: int, kid: bytes, typ: int) -> bytes:
    """The encoded protected header, 17 bytes for our own types."""
    return cbor.encode({ALG_LABEL: alg, KID_LABEL: kid, TYP_LABEL: typ})


def sig_structure(protected: bytes, payload: bytes) -> bytes:
    """RFC 9052, 4.4: ["Signature1", protected, external_aad h'', payload]."""
    return _SIG_HEAD + cbor.byte_string(protected) + b"\x40" + cbor.byte_string(payload)


def sign(signer: Signer, typ: int, payload: bytes) -> bytes:
    """The complete signed object, ready to travel."""
    protected = protected_header(signer.public.alg, signer.public.kid, typ)
    signature = signer.sign(sig_structure(protected, payload))
    head = _TAGGED + cbor.byte_string(protected) + b"\xa0" + cbor.byte_string(payload)
    return head + _SIGNATURE_HEAD + signature


def parse(raw: bytes, typ: int, *, limit: int = limits.SIGNED_BYTES) -> Signed:
    """`raw` as a signed object of kind `typ`.

    Raises `FormatError` (`cose.*`, `cbor.*`) or `LimitError`. The signature is not checked.
    """
    if len(raw) > limit:
        raise LimitError("cbor.too-long", f"{len(raw)} bytes, the limit is {limit}")
    protected, payload, signature = _split(raw) or _parts(raw)
    alg, kid, got = _header(protected)
    if got != typ:
        raise FormatError("cose.typ", f"typ {got!r} where {int(typ)} is expected")
    return Signed(raw, alg, kid, typ, protected, payload, signature)


def _split(raw: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Protected header, payload and signature of an object whose header is short, as ours is.

    Half of what a gateway would spend on decoding. None for anything that is not exactly
    18([protected, {}, payload, signature]) in its one encoding: `_parts` then finds out what is wrong.
    """
    mark = len(raw) - _TAIL  # where the signature's head is
    start = len(_TAGGED) + 1
    if mark < start or raw[:2] != _TAGGED or raw[mark : mark + 2] != _SIGNATURE_HEAD:
        return None
    size = raw[start - 1] - 0x40
    end = start + size
    if not 0 <= size < 24 or end >= mark:
        return None
    # the rest is an empty map and a payload: their heads are what they would be for what is left
    left = mark - end - 1
    head = 1 if left < 25 else 2 if left < 258 else 3
    payload = raw[end + 1 + head : mark]
    if raw[end : end + 1 + head] != b"\xa0" + cbor.byte_string_head(len(payload)):
        return None
    return raw[start:end], payload, raw[mark + 2 :]


def _parts(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """The same from any COSE_Sign1, or the error that says what is wrong with it."""
    value = cbor.decode(raw)
    if not isinstance(value, cbor.Tagged):
        raise FormatError("cose.tag", "not a COSE_Sign1: tag 18 is missing")
    parts = value.value
    if not isinstance(parts, list) or len(parts) != 4:
        raise FormatError("cose.shape", "a COSE_Sign1 has four elements")
    protected, unprotected, payload, signature = parts
    # stops keys, certificates or algorithms that nobody signed from having any effect
    if unprotected != {} or not isinstance(unprotected, dict):
        raise FormatError("cose.unprotected", "the unprotected header must be empty")
    if not isinstance(payload, bytes):
        raise FormatError("cose.payload", "the payload must be attached")
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise FormatError("cose.signature", "the signature must have 64 bytes")
    if not isinstance(protected, bytes):
        raise FormatError("cose.protected", "the protected header must be a byte string")
    return protected, payload, signature


@lru_cache(maxsize=4096)  # a device sends the same header all its life
def _header(protected: bytes) -> tuple[int, bytes, int]:
    header = cbor.decode(protected)
    if not isinstance(header, dict) or set(header) != {ALG_LABEL, KID_LABEL, TYP_LABEL}:
        raise FormatError("cose.protected", "the protected header holds alg, kid, typ and no more")
    alg, kid, typ = header[ALG_LABEL], header[KID_LABEL], header[TYP_LABEL]
    if not is_int(alg) or alg not in (ED25519, ESP256):
        raise FormatError("cose.algorithm", f"algorithm {alg!r}, expected -19 or -9")
    if not isinstance(kid, bytes) or len(kid) != KID_BYTES:
        raise FormatError("cose.kid", "a kid has 8 bytes")
    if not is_int(typ):
        raise FormatError("cose.typ", f"typ {typ!r} is not a number")
    return alg, kid, typ
