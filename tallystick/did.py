"""did:key (W3C CCG did:key method): a key written as a name, and back, without a network.

`did:key:z` + base58btc(multicodec prefix || key bytes); Ed25519 has the prefix ed01, compressed
P-256 has 8024.
"""

from __future__ import annotations

from typing import Final

import base58

from tallystick import limits
from tallystick.errors import FormatError, TallystickError
from tallystick.keys import ED25519, ESP256, KEY_BYTES, PublicKey

__all__ = ["did_key", "public_key"]

_SCHEME: Final = "did:key:z"
_PREFIX: Final = {ED25519: b"\xed\x01", ESP256: b"\x80\x24"}


def did_key(key: PublicKey) -> str:
    """The did:key of `key`: 56 characters for Ed25519 (`did:key:z6Mk...`), 57 for P-256
    (`did:key:zDn...`).
    """
    return _SCHEME + base58.b58encode(_PREFIX[key.alg] + key.raw).decode()


def public_key(did: str) -> PublicKey:
    """The key that a did:key names.

    Raises `FormatError` for another method, base58 or prefix, `KeyRefusedError` for a key that
    must not be trusted.
    """
    if not did.startswith(_SCHEME) or len(did) > limits.DID_BYTES:
        raise FormatError("did.method", f"{did[:64]!r} is not a did:key in base58btc")
    try:
        data = base58.b58decode(did[len(_SCHEME) :])
    except ValueError as error:
        raise FormatError("did.base58", f"{did!r} is not base58btc") from error
    for alg, prefix in _PREFIX.items():
        if data.startswith(prefix) and len(data) == len(prefix) + KEY_BYTES[alg]:
            key = PublicKey.from_bytes(data[len(prefix) :], alg)
            # one key, one name: stops a second spelling with leading zeros or other alphabets
            if did_key(key) != did:
                raise FormatError(
                    "did.not-canonical", f"{did!r} is not the one spelling of its key"
                )
            return key
    raise FormatError("did.key-type", f"{did!r} is neither an Ed25519 nor a P-256 key")


def is_did_key(did: str) -> bool:
    """Does `did` name a key that we accept?"""
    try:
        public_key(did)
    except TallystickError:
        return False
    return True
