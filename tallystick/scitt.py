"""A SCITT signed statement (RFC 9943): a gateway's statement that it admitted a record, for a transparency service.

A record is not one itself: it has no CWT claims, and a board does not know by what name it is called. So the gateway,
which knows, states it: issuer is the gateway's did:key, subject the device's, the payload is the record, verbatim::

    18([<< {1: alg, 3: "application/vnd.tallystick.record", 4: kid, 15: {1: issuer, 2: subject},
            16: "application/scitt-statement+cose"} >>,
        {}, record, signature])

It says no more than the record does, and only that this gateway has admitted it. The typ in words keeps it apart from
every signed object of ours, whose typ is a number.
"""

from __future__ import annotations

from typing import Any, Final

from tallystick import cbor, cose, did, record
from tallystick.cose import ALG_LABEL, KID_LABEL, TYP_LABEL, Signer
from tallystick.errors import FormatError, SignatureError
from tallystick.keys import PublicKey
from tallystick.record import Record

__all__ = ["CONTENT_TYPE", "STATEMENT_TYPE", "sign", "verify"]

CONTENT_LABEL: Final = 3  # RFC 9052, 3.1
CWT_CLAIMS: Final = 15  # RFC 9597
STATEMENT_TYPE: Final = "application/scitt-statement+cose"
CONTENT_TYPE: Final = "application/vnd.tallystick.record"


def sign(gateway: Signer, device: PublicKey, admitted: Record) -> bytes:
    """The statement of `gateway` about a record of `device` (its first key)."""
    protected = cbor.encode(_header(gateway.public, device))
    signature = gateway.sign(cose.sig_structure(protected, admitted.raw))
    return cbor.encode(cbor.Tagged(cbor.SIGN1_TAG, [protected, {}, admitted.raw, signature]))


def verify(raw: bytes, gateway: PublicKey, device: PublicKey) -> Record:
    """The record in a statement that `gateway` signed about `device`; `FormatError` (`scitt.statement`) or
    `SignatureError` otherwise. Whether the device signed the record is another question.
    """
    value: Any = cbor.decode(raw)
    if not isinstance(value, cbor.Tagged) or not isinstance(value.value, list | tuple):
        raise FormatError("scitt.statement", "not a COSE_Sign1")
    protected, unprotected, payload, signature = (*value.value, None, None, None, None)[:4]
    if unprotected != {} or not all(isinstance(x, bytes) for x in (protected, payload, signature)):
        raise FormatError("scitt.statement", "header, payload and signature are not in form")
    if protected != cbor.encode(_header(gateway, device)):
        raise SignatureError("scitt.statement", "of another issuer, or about another device")
    gateway.verify(signature, cose.sig_structure(protected, payload))
    return record.parse(payload)


def _header(gateway: PublicKey, device: PublicKey) -> dict[int, object]:
    return {
        ALG_LABEL: gateway.alg,
        CONTENT_LABEL: CONTENT_TYPE,
        KID_LABEL: gateway.kid,
        CWT_CLAIMS: {1: did.did_key(gateway), 2: did.did_key(device)},
        TYP_LABEL: STATEMENT_TYPE,
    }
