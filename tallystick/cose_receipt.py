"""COSE receipts (RFC 9942): a gateway's word, in COSE, that a record stands in its log.

::

    18([<< {1: -19, 4: kid, 15: {1: issuer, 2: origin}, 395: 1, -65541: size} >>,
        {396: {-1: [<< [size, index, [+ hash]] >>]}},
        null,                             the payload is the root, detached
        signature])

The RFC signs the root alone; size and index stand in the unprotected header, where most small proofs also verify with
other numbers. So the size is signed, too, under a label of private use (RFC 9052, 11.1), and `verify` holds the two
sizes against each other. The signer is the gateway: nobody can make a receipt out of a proof file.

What others made is read in their own encoding: only what we sign ourselves must be deterministic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import cbor2

from tallystick import cbor, cose, did, limits, merkle
from tallystick.cbor_library import loads
from tallystick.cose import ALG_LABEL, KID_LABEL, Signer
from tallystick.errors import FormatError, LimitError, PathError, SignatureError
from tallystick.fields import is_int
from tallystick.keys import PublicKey

__all__ = ["Receipt", "parse", "sign", "verify"]

CWT_CLAIMS: Final = 15  # RFC 9597
VDS: Final = 395  # RFC 9942: verifiable data structure
VDP: Final = 396  # RFC 9942: its proofs
INCLUSION: Final = -1
RFC9162_SHA256: Final = 1
TREE_SIZE: Final = -65_541  # private use: the size that the issuer has signed
_SIGN1: Final = 18


class Receipt(NamedTuple):
    """A receipt taken apart, not verified. `signed_size`: the tree size in the protected header, None if the issuer
    did not sign one; `alg` and `kid` as they stand there.
    """

    protected: bytes
    signature: bytes
    alg: int
    kid: bytes
    issuer: str | None
    size: int
    leaf: int
    path: tuple[bytes, ...]
    signed_size: int | None


def sign(
    signer: Signer,
    origin: str,
    index: int,
    size: int,
    path: Sequence[bytes],
    root: bytes,
    *,
    entry: bytes,
) -> bytes:
    """The receipt for the leaf `entry` at `index` of the tree (`size`, `root`) of the log `origin`.

    `PathError` if the path does not lead there: nothing is signed on trust. `FormatError` (`cose-receipt.path`) in a
    tree of one leaf: RFC 9942 has no receipt without a hash.
    """
    if not path:
        raise FormatError("cose-receipt.path", "RFC 9942 has no receipt for a tree of one leaf")
    merkle.verify_inclusion(merkle.leaf_hash(entry), index, size, path, root)
    claims: dict[int, object] = {1: did.did_key(signer.public), 2: origin}
    protected = cbor.encode(
        {
            ALG_LABEL: signer.public.alg,
            KID_LABEL: signer.public.kid,
            CWT_CLAIMS: claims,
            VDS: RFC9162_SHA256,
            TREE_SIZE: size,
        }
    )
    signature = signer.sign(cose.sig_structure(protected, root))
    proof = cbor.encode([size, index, list(path)])
    return cbor.encode(
        cbor.Tagged(_SIGN1, [protected, {VDP: {INCLUSION: [proof]}}, None, signature])
    )


def parse(raw: bytes) -> Receipt:
    """`raw` as an inclusion receipt; `FormatError` (`cose-receipt.*`) or `LimitError` otherwise."""
    if len(raw) > limits.SIGNED_BYTES:
        raise LimitError("cose-receipt.shape", f"{len(raw)} bytes")
    whole = _decoded(raw)
    parts = whole.value if isinstance(whole, cbor2.CBORTag) and whole.tag == _SIGN1 else None
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        raise FormatError("cose-receipt.shape", "not a tagged COSE_Sign1")
    protected, unprotected, payload, signature = parts
    if payload is not None or not isinstance(protected, bytes) or not isinstance(signature, bytes):
        raise FormatError("cose-receipt.shape", "the payload of a receipt is detached")
    header = _decoded(protected)
    if not isinstance(header, Mapping) or header.get(VDS) != RFC9162_SHA256:
        raise FormatError("cose-receipt.vds", "not a receipt of an RFC 9162 tree with SHA-256")
    alg, kid = header.get(ALG_LABEL), header.get(KID_LABEL)
    if not is_int(alg) or not isinstance(kid, bytes):
        raise FormatError("cose-receipt.shape", "alg and kid are not in the protected header")
    claims = header.get(CWT_CLAIMS, {})
    issuer = claims.get(1) if isinstance(claims, Mapping) else None
    signed_size = header.get(TREE_SIZE)
    size, index, path = _inclusion(unprotected)
    return Receipt(
        protected,
        signature,
        alg,
        kid,
        issuer if isinstance(issuer, str) else None,
        size,
        index,
        path,
        signed_size if is_int(signed_size) else None,
    )


def verify(raw: bytes, key: PublicKey, entry: bytes) -> Receipt:
    """The receipt, if `key` signed that the leaf `entry` stands at its index in the tree of its size.

    `SignatureError` or `PathError` otherwise; a receipt whose size nobody signed is refused.
    """
    found = parse(raw)
    # stops algorithm confusion
    if (found.alg, found.kid) != (key.alg, key.kid):
        raise SignatureError(
            "signature.key", f"signed by key {found.kid.hex()}, not by {key.kid.hex()}"
        )
    # stops a leaf from being given another index by another size
    if found.signed_size != found.size:
        raise PathError("cose-receipt.size", "the size of the path is not the one that was signed")
    root = merkle.root_of_path(merkle.leaf_hash(entry), found.leaf, found.size, found.path)
    key.verify(found.signature, cose.sig_structure(found.protected, root))
    return found


def _inclusion(unprotected: Any) -> tuple[int, int, tuple[bytes, ...]]:
    # cbor2 makes what stands inside a tag immutable: mappings and tuples
    proofs = unprotected.get(VDP) if isinstance(unprotected, Mapping) else None
    found = proofs.get(INCLUSION) if isinstance(proofs, Mapping) else None
    if not isinstance(found, list | tuple) or len(found) != 1 or not isinstance(found[0], bytes):
        raise FormatError("cose-receipt.proof", "a receipt holds one inclusion proof")
    value = _decoded(found[0])
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise FormatError("cose-receipt.proof", "an inclusion proof is [size, index, path]")
    size, index, path = value
    good = is_int(size) and is_int(index) and 0 <= index < size <= limits.TREE_SIZE
    if not good or not isinstance(path, list | tuple) or not 1 <= len(path) <= 63:
        raise FormatError("cose-receipt.proof", "an inclusion proof is [size, index, path]")
    if not all(isinstance(one, bytes) and len(one) == merkle.HASH_BYTES for one in path):
        raise FormatError("cose-receipt.proof", "a hash has 32 bytes")
    return size, index, tuple(path)


def _decoded(data: bytes) -> Any:
    try:
        return loads(data, allow_indefinite=False, max_depth=limits.CBOR_DEPTH)
    except Exception as error:  # a library that reads strangers' bytes may raise what it likes
        raise FormatError("cose-receipt.shape", f"not CBOR: {type(error).__name__}") from error
