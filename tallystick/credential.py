"""A credential: what an issuer certifies of a device, small enough for the board (docs/format.md,
section 10).

A CWT (RFC 8392) in the shape of every signed object, typ 61. The subject is the device's did:key,
its first key; `key` is the key in force where that is another one by now. Validity is judged at a
time that the verifier proves, never "now". `status` says where the issuer's status lists speak of it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tallystick import cbor, cose, did, limits
from tallystick.cose import Signed, Signer, Typ
from tallystick.errors import FormatError
from tallystick.fields import is_int, octets, uint
from tallystick.keys import ED25519, ESP256, PublicKey
from tallystick.value import Value

__all__ = ["Credential", "StatusReference", "parse", "sign"]

ISSUER: Final = 1
SUBJECT: Final = 2
EXPIRES: Final = 4
NOT_BEFORE: Final = 5
CONFIRMATION: Final = 8  # RFC 8747
ROLE: Final = -65537  # private use
STATUS: Final = -65538  # private use: the registered claim with its URI does not fit a board
BOARD: Final = -65539  # private use: what kind of board the issuer saw
INSPECTOR: Final = "inspector"
KIND: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")

_KNOWN: Final = {ISSUER, SUBJECT, EXPIRES, NOT_BEFORE, CONFIRMATION, ROLE, STATUS, BOARD}


class StatusReference(Value):
    """Where the issuer's status lists speak of a credential: number of the list, place in it."""

    list: int
    index: int


class Credential(Value):
    """A credential as it came, not verified. Times are Unix seconds; `issuer` and `subject` are
    DIDs.
    """

    signed: Signed
    issuer: str
    subject: str
    not_before: int
    expires: int | None = None
    key: PublicKey | None = None
    role: str | None = None
    status: StatusReference | None = None
    board: str | None = None

    @property
    def device_key(self) -> PublicKey:
        """The subject's first key."""
        return did.public_key(self.subject)

    def valid_at(self, time: int) -> bool:
        """Is `time` inside the validity that the issuer set?"""
        return self.not_before <= time and (self.expires is None or time < self.expires)


def parse(raw: bytes) -> Credential:
    """`raw` as a credential; `FormatError`, `KeyRefusedError` or `LimitError` otherwise. No
    signature is checked.
    """
    signed = cose.parse(raw, Typ.CREDENTIAL, limit=limits.CREDENTIAL_BYTES)
    claims = cbor.decode(signed.payload)
    if (
        not isinstance(claims, dict)
        or not {ISSUER, SUBJECT, NOT_BEFORE} <= set(claims) <= _KNOWN
        # what is not there has one spelling: it is left out
        or None in claims.values()
    ):
        raise FormatError(
            "credential.claims",
            "a credential has iss, sub, nbf; exp, cnf, role, status and board at most",
        )
    role = claims.get(ROLE)
    if role not in (None, INSPECTOR):
        raise FormatError("credential.role", f"role {str(role)[:32]!r} is not known")
    subject = _did(claims[SUBJECT], "sub")
    did.public_key(subject)
    expires = claims.get(EXPIRES)
    confirmation = claims.get(CONFIRMATION)
    return Credential(
        signed,
        _did(claims[ISSUER], "iss"),
        subject,
        uint(claims[NOT_BEFORE], "nbf", limits.TIME),
        None if expires is None else uint(expires, "exp", limits.TIME),
        None if confirmation is None else _cose_key(confirmation),
        None if role is None else INSPECTOR,
        None if STATUS not in claims else _status(claims[STATUS]),
        None if BOARD not in claims else _board(claims[BOARD]),
    )


def sign(
    signer: Signer,
    issuer: str,
    subject: str,
    not_before: int,
    *,
    expires: int | None = None,
    key: PublicKey | None = None,
    role: str | None = None,
    status: StatusReference | None = None,
    board: str | None = None,
) -> bytes:
    """The bytes of a credential; `issuer` is the DID of `signer`'s key."""
    claims: dict[int, object] = {ISSUER: issuer, SUBJECT: subject, NOT_BEFORE: not_before}
    if expires is not None:
        claims[EXPIRES] = expires
    if key is not None:
        claims[CONFIRMATION] = {1: _cose_key_map(key)}
    if role is not None:
        claims[ROLE] = role
    if status is not None:
        claims[STATUS] = [status.list, status.index]
    if board is not None:
        claims[BOARD] = _board(board)
    return cose.sign(signer, Typ.CREDENTIAL, cbor.encode(claims))


def _did(value: cbor.Value, what: str) -> str:
    if not isinstance(value, str) or len(value) > limits.DID_BYTES or not value.startswith("did:"):
        raise FormatError("credential.did", f"{what} is not a DID")
    # stops control characters from rewriting what a person reads on a screen
    if not (value.isascii() and value.isprintable()):
        raise FormatError("credential.did", f"{what} is not a DID")
    return value


def _board(value: cbor.Value) -> str:
    if not isinstance(value, str) or not KIND.fullmatch(value):
        raise FormatError("credential.board", "a board kind has 1 to 32 of A-Z a-z 0-9 . _ -")
    return value


def _status(value: cbor.Value) -> StatusReference:
    if not isinstance(value, list) or len(value) != 2:
        raise FormatError("credential.status", "a status reference is [list, index]")
    return StatusReference(
        uint(value[0], "status list", limits.STATUS_LISTS, at_least=1),
        uint(value[1], "status index", limits.STATUS_ENTRIES - 1),
    )


def _cose_key_map(key: PublicKey) -> dict[int, object]:
    """RFC 9053, 7: kty, crv, x, and for P-256 the sign of y as a boolean."""
    if key.alg == ED25519:
        return {1: 1, -1: 6, -2: key.raw}
    return {1: 2, -1: 1, -2: key.raw[1:], -3: key.raw[0] == 3}


def _cose_key(value: Any) -> PublicKey:
    if not isinstance(value, dict) or set(value) != {1} or not isinstance(value[1], dict):
        raise FormatError("credential.cnf", "cnf holds one COSE_Key")
    key = value[1]
    if not is_int(key.get(1)) or not is_int(key.get(-1)):
        raise FormatError("credential.cnf", "a COSE_Key has kty and crv")
    if key.keys() == {1, -1, -2} and (key[1], key[-1]) == (1, 6):
        return PublicKey.from_bytes(octets(key[-2], "x", 32), ED25519)
    if key.keys() == {1, -1, -2, -3} and (key[1], key[-1]) == (2, 1) and isinstance(key[-3], bool):
        sign = b"\x03" if key[-3] is True else b"\x02"
        return PublicKey.from_bytes(sign + octets(key[-2], "x", 32), ESP256)
    raise FormatError("credential.cnf", "neither an Ed25519 nor a P-256 key")
