"""A device's credential as a W3C Verifiable Credential 2.0: the facts of the CWT, for those who read JSON.

::

    {"@context": [...], "type": ["VerifiableCredential", "DeviceCredential"], "issuer": "did:key:z6Mk...",
     "validFrom": "2026-11-20T14:00:00Z", "credentialSubject": {"id": "did:key:z6Mk..."},
     "credentialStatus": [{"type": "BitstringStatusListEntry", "statusPurpose": "revocation", ...}, ...],
     "proof": {"type": "DataIntegrityProof", "cryptosuite": "eddsa-jcs-2022", ...}}

`document` writes it, `parse` reads it in this one form, `verify` checks whose signature it bears. Whose key signs in an
issuer's name: of a did:key the key in it, of a did:web one that its document names. Either must be the key of an
issuer that the caller trusts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tallystick import data_integrity, did, did_document, limits, timestamp
from tallystick.credential import INSPECTOR, Credential, StatusReference
from tallystick.did_document import DidDocument
from tallystick.errors import FormatError, KeyUnknownError, SignatureError
from tallystick.jcs import Object
from tallystick.keys import PublicKey
from tallystick.status_list import Purpose, StatusListCredential, list_id
from tallystick.value import Value

__all__ = [
    "DeviceCredential",
    "StatusEntry",
    "document",
    "entries",
    "is_set",
    "parse",
    "signing_key",
    "verify",
]

CONTEXT: Final[list[Any]] = [
    "https://www.w3.org/ns/credentials/v2",
    {
        "DeviceCredential": "urn:tallystick:v1:DeviceCredential",
        "keyInForce": "urn:tallystick:v1:keyInForce",
        "role": "urn:tallystick:v1:role",
    },
]
TYPES: Final = ["VerifiableCredential", "DeviceCredential"]
ENTRY_TYPE: Final = "BitstringStatusListEntry"
_REQUIRED: Final = {"@context", "type", "issuer", "validFrom", "credentialSubject"}
_KNOWN: Final = {*_REQUIRED, "validUntil", "credentialStatus", "proof"}
_ENTRY: Final = {"type", "statusPurpose", "statusListIndex", "statusListCredential"}
_INDEX: Final = re.compile("0|[1-9][0-9]{0,6}")


class StatusEntry(Value):
    """Where a status list speaks of a credential: `list` is the id of the list's own credential."""

    purpose: Purpose
    index: int
    list: str


class DeviceCredential(Value):
    """The facts of a verifiable credential as it came, not verified. Times are Unix seconds."""

    issuer: str
    subject: str
    not_before: int
    expires: int | None = None
    key: PublicKey | None = None
    role: str | None = None
    status: tuple[StatusEntry, ...] = ()

    def valid_at(self, time: int) -> bool:
        """Is `time` inside the validity that the issuer set?"""
        return self.not_before <= time and (self.expires is None or time < self.expires)


def entries(base: str, reference: StatusReference) -> tuple[StatusEntry, ...]:
    """What the short reference of a CWT means under `base`: a place in the lists of both purposes."""
    return tuple(
        StatusEntry(purpose, reference.index, list_id(base, reference.list, purpose))
        for purpose in Purpose
    )


def document(
    held: Credential, *, issuer: str | None = None, status: Sequence[StatusEntry] = ()
) -> Object:
    """The facts of `held` as a document without a proof; `issuer`: another DID of the same issuer."""
    subject: Object = {"id": held.subject}
    if held.key is not None:
        subject["keyInForce"] = did.did_key(held.key)
    if held.role is not None:
        subject["role"] = held.role
    made: Object = {
        "@context": CONTEXT,
        "type": TYPES,
        "issuer": issuer or held.issuer,
        "validFrom": timestamp.text(held.not_before),
        "credentialSubject": subject,
    }
    if held.expires is not None:
        made["validUntil"] = timestamp.text(held.expires)
    if status:
        made["credentialStatus"] = [
            {
                "type": ENTRY_TYPE,
                "statusPurpose": one.purpose.value,
                "statusListIndex": str(one.index),
                "statusListCredential": one.list,
            }
            for one in status
        ]
    return made


def parse(given: Object) -> DeviceCredential:
    """A JSON document as a device's credential; `FormatError` or `KeyRefusedError` otherwise. No signature is
    checked.
    """
    if not _REQUIRED <= set(given) <= _KNOWN:
        raise FormatError("vc.shape", "a credential with a member too few or too many")
    # stops a context of somebody's own from giving the names another meaning
    if given["@context"] != CONTEXT:
        raise FormatError("vc.context", "not the @context of a device's credential")
    if given["type"] != TYPES:
        raise FormatError("vc.shape", "not a DeviceCredential")
    subject = given["credentialSubject"]
    if not isinstance(subject, dict) or not {"id"} <= set(subject) <= {"id", "keyInForce", "role"}:
        raise FormatError("vc.shape", "the subject has an id; keyInForce and role at most")
    if subject.get("role", INSPECTOR) != INSPECTOR:
        raise FormatError("credential.role", f"role {str(subject['role'])[:32]!r} is not known")
    name = _did(subject["id"], "the subject")
    did.public_key(name)
    key = (
        did.public_key(_did(subject["keyInForce"], "keyInForce"))
        if "keyInForce" in subject
        else None
    )
    expires = given.get("validUntil")
    return DeviceCredential(
        _did(given["issuer"], "the issuer"),
        name,
        timestamp.seconds(given["validFrom"], "validFrom"),
        timestamp.seconds(expires, "validUntil") if "validUntil" in given else None,
        key,
        INSPECTOR if "role" in subject else None,
        _entries(given["credentialStatus"]) if "credentialStatus" in given else (),
    )


def signing_key(given: Object, dids: Iterable[DidDocument] = ()) -> PublicKey:
    """The key that the proof's verificationMethod names, if it may sign in the name of the document's issuer.

    `dids` are the documents at hand of did:web issuers. `KeyUnknownError` if the key cannot be found,
    `SignatureError` (`vc.method`) if somebody else's key is named.
    """
    issuer = _did(given.get("issuer"), "the issuer")
    method = data_integrity.proof_of(given)["verificationMethod"]
    if issuer.startswith("did:key:"):
        key = did.public_key(issuer)
        # stops a stranger's key from signing in the issuer's name
        if method != did_document.method_id(issuer, key):
            raise SignatureError("vc.method", "the proof names another key than the issuer's")
        return key
    if not issuer.startswith("did:web:"):
        raise FormatError("did.method", f"{issuer[:64]!r} is neither a did:key nor a did:web")
    described = next((one for one in dids if one.did == issuer), None)
    if described is None:
        raise KeyUnknownError("vc.did-document", f"no document of {issuer} at hand")
    if method not in described.keys:
        raise SignatureError("vc.method", f"the proof names a key that is not one of {issuer}")
    return described.keys[method]


def verify(
    given: Object, trusted: Sequence[PublicKey], dids: Iterable[DidDocument] = ()
) -> PublicKey:
    """The trusted key that signed the document.

    `SignatureError` or `FormatError` if nobody did in the issuer's name, `KeyUnknownError` (`vc.issuer`) if the key
    is none of `trusted`.
    """
    key = signing_key(given, dids)
    data_integrity.verify(given, key)
    if key not in trusted:
        raise KeyUnknownError("vc.issuer", f"issuer {given['issuer']} is not trusted")
    return key


def is_set(entry: StatusEntry, held: StatusListCredential) -> bool:
    """What a (verified) status list says of a credential; `FormatError` (`status.*`) if it is not that list."""
    # stops a list of another purpose, or another list of the issuer, from answering
    if (held.id, held.purpose) != (entry.list, entry.purpose):
        raise FormatError(
            "status.list", f"the list is {held.id}, the credential names {entry.list}"
        )
    return held.list.get(entry.index)


def _entries(value: object) -> tuple[StatusEntry, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= len(Purpose):
        raise FormatError("vc.status", "credentialStatus has an entry for each purpose")
    found = [_entry(one) for one in value]
    if len({one.purpose for one in found}) != len(found):
        raise FormatError("vc.status", "two entries of one purpose")
    return tuple(found)


def _entry(value: object) -> StatusEntry:
    if not isinstance(value, dict) or set(value) != _ENTRY or value["type"] != ENTRY_TYPE:
        raise FormatError("vc.status", f"not a {ENTRY_TYPE}")
    purpose, index, named = (
        value["statusPurpose"],
        value["statusListIndex"],
        value["statusListCredential"],
    )
    if purpose not in list(Purpose):
        raise FormatError("vc.status", "a purpose that is neither suspension nor revocation")
    if not isinstance(index, str) or not _INDEX.fullmatch(index):
        raise FormatError("status.index", "statusListIndex is not a number in digits")
    if int(index) >= limits.STATUS_ENTRIES:
        raise FormatError("status.index", f"index {index} is beyond every list")
    if (
        not isinstance(named, str)
        or len(named) > 512
        or not (named.isascii() and named.isprintable())
    ):
        raise FormatError("vc.status", "statusListCredential is no URL")
    return StatusEntry(Purpose(purpose), int(index), named)


def _did(value: object, what: str) -> str:
    if (
        not isinstance(value, str)
        or not value.startswith("did:")
        or len(value) > limits.DID_BYTES
        or not (value.isascii() and value.isprintable())
    ):
        raise FormatError("credential.did", f"{what} is not a DID")
    return value
