"""Signatures in JSON documents: a DataIntegrityProof of the cryptosuite eddsa-jcs-2022 (W3C Data Integrity EdDSA
Cryptosuites 1.0, 3.3).

What is signed: SHA-256(JCS(proof without proofValue)) || SHA-256(JCS(document without proof)), by Ed25519; proofValue
is the signature in base58btc behind a `z`.

* `verify` is given the key. Whose key `verificationMethod` is, the caller decides: see `tallystick.vc`.
* The document's `@context` must begin with all that the proof's `@context` names, in that order, and the
  document is hashed with the proof's: a context that nobody signed gives no name another meaning.
* Members of a proof that this suite does not explain are refused, as are several proofs: they could say "expired",
  "for somebody else" or "only after that one" to another reader.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

import base58

from tallystick import jcs, timestamp
from tallystick.cose import Signer
from tallystick.errors import FormatError, KeyRefusedError, SignatureError
from tallystick.jcs import Object
from tallystick.keys import ED25519, SIGNATURE_BYTES, PublicKey

__all__ = ["hash_data", "proof_of", "sign", "verify"]

TYPE: Final = "DataIntegrityProof"
CRYPTOSUITE: Final = "eddsa-jcs-2022"
PURPOSE: Final = "assertionMethod"
_REQUIRED: Final = {
    "type",
    "cryptosuite",
    "created",
    "verificationMethod",
    "proofPurpose",
    "proofValue",
}
_KNOWN: Final = {*_REQUIRED, "@context"}
_PROOF_VALUE: Final = re.compile("z[1-9A-HJ-NP-Za-km-z]{64,88}")


def hash_data(document: Object, config: Object) -> bytes:
    """What is signed (64 bytes): `document` without its proof, `config` the proof without its proofValue."""
    return sha256(jcs.canonical(config)).digest() + sha256(jcs.canonical(document)).digest()


def sign(signer: Signer, document: Object, *, method: str, created: int) -> Object:
    """`document` with its proof. `method`: DID URL of the signer's key; `created`: Unix seconds."""
    if signer.public.alg != ED25519:
        raise KeyRefusedError("key.algorithm", f"{CRYPTOSUITE} signs with Ed25519 alone")
    if "proof" in document:
        raise FormatError("vc.proof", "the document has a proof already")
    config: Object = {
        "type": TYPE,
        "cryptosuite": CRYPTOSUITE,
        "created": timestamp.text(created),
        "verificationMethod": method,
        "proofPurpose": PURPOSE,
    }
    if "@context" in document:
        config["@context"] = document["@context"]
    value = "z" + base58.b58encode(signer.sign(hash_data(document, config))).decode()
    return {**document, "proof": {**config, "proofValue": value}}


def proof_of(document: Object) -> Object:
    """The one proof of a document, in form; `FormatError` (`vc.proof`) otherwise. Nothing is verified."""
    proof = document.get("proof")
    if not isinstance(proof, dict):
        raise FormatError("vc.proof", "a document has exactly one proof")
    if not set(proof) >= _REQUIRED or not set(proof) <= _KNOWN:
        raise FormatError("vc.proof", "a proof with a member too few or too many")
    suite = (proof["type"], proof["cryptosuite"], proof["proofPurpose"])
    # stops a signature for another purpose, or of another suite, from passing as an assertion
    if suite != (TYPE, CRYPTOSUITE, PURPOSE):
        raise FormatError("vc.proof", f"not a {TYPE} of {CRYPTOSUITE} for {PURPOSE}")
    if not isinstance(proof["verificationMethod"], str):
        raise FormatError("vc.proof", "verificationMethod is no DID URL")
    timestamp.seconds(proof["created"], "created")
    return proof


def verify(document: Object, key: PublicKey) -> None:
    """Return if `key` signed `document`; `SignatureError` or `FormatError` otherwise."""
    proof = proof_of(document)
    if key.alg != ED25519:
        raise SignatureError("signature.key", f"{CRYPTOSUITE} knows no key but Ed25519")
    unsecured = {name: value for name, value in document.items() if name != "proof"}
    if "@context" in proof:
        named = _contexts(proof["@context"])
        if _contexts(unsecured.get("@context"))[: len(named)] != named:
            raise SignatureError(
                "vc.context", "the document's @context is not the one of its proof"
            )
        unsecured["@context"] = proof["@context"]
    config = {name: value for name, value in proof.items() if name != "proofValue"}
    key.verify(_signature(proof["proofValue"]), hash_data(unsecured, config))


def _contexts(value: Any) -> list[bytes]:
    """The contexts in order, in canonical form: as Python values, 1 would equal true."""
    return [jcs.canonical(one) for one in (value if isinstance(value, list) else [value])]


def _signature(value: object) -> bytes:
    if not isinstance(value, str) or not _PROOF_VALUE.fullmatch(value):
        raise FormatError("vc.proof", "proofValue is not 64 bytes in base58btc")
    data = base58.b58decode(value[1:])
    # stops a second spelling of one signature
    if len(data) != SIGNATURE_BYTES or "z" + base58.b58encode(data).decode() != value:
        raise FormatError("vc.proof", "proofValue is not 64 bytes in base58btc")
    return data
