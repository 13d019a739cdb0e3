"""Public keys that verify, private keys that sign on a host, and the short name of a key
(docs/format.md, section 2).

Two algorithms, named by their COSE numbers: Ed25519 (RFC 8032, COSE -19 of RFC 9864) and ESP256
(P-256 with SHA-256, COSE -9). A `PublicKey` that exists is one that may be trusted with a
signature: keys of low order and encodings that are not canonical never become one.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from tallystick.errors import FormatError, KeyRefusedError, SignatureError
from tallystick.value import Value, computed

if TYPE_CHECKING:
    from collections.abc import Callable

    # signing, PEM and P-256 load these where they are used: a verdict on an Ed25519 proof needs none of them
    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["ED25519", "ESP256", "SIGNATURE_BYTES", "PrivateKey", "PublicKey", "kid"]

ED25519: Final = -19  # RFC 9864
ESP256: Final = -9  # RFC 9864
SIGNATURE_BYTES: Final = 64
KID_BYTES: Final = 8
KEY_BYTES: Final = {ED25519: 32, ESP256: 33}

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, _P - 2, _P) % _P  # of the curve, RFC 8032, 5.1
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

# y coordinates of the points whose order divides 8: a "signature" by such a key verifies for every message
_SQRT_Y8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_LOW_ORDER_Y: Final = frozenset({0, 1, _P - 1, _SQRT_Y8, _P - _SQRT_Y8})


def kid(raw: bytes) -> bytes:
    """SHA-256(key bytes)[:8]: a hint which key is meant, never evidence."""
    return sha256(raw).digest()[:KID_BYTES]


class PublicKey(Value):
    """A key that may verify. Make it with `from_bytes`; equality is equality of `alg` and `raw`."""

    alg: int
    raw: bytes

    @classmethod
    def from_bytes(cls, raw: bytes, alg: int) -> PublicKey:
        """`raw` as in docs/format.md, section 2: 32 bytes for Ed25519 (-19), 33 compressed for
        ESP256 (-9).

        Raises `KeyRefusedError` for a wrong length, another algorithm, a low-order or
        non-canonical Ed25519 key, or bytes that are no point of P-256.
        """
        if alg not in KEY_BYTES:
            raise KeyRefusedError("key.algorithm", f"COSE algorithm {alg!r}, expected -19 or -9")
        if not isinstance(raw, bytes) or len(raw) != KEY_BYTES[alg]:
            raise KeyRefusedError(
                "key.length", f"a key of algorithm {alg} has {KEY_BYTES[alg]} bytes"
            )
        key = cls(alg, raw)
        _ = key._key  # refuses what is no key
        return key

    @computed
    def _key(self) -> ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey:
        return _ed25519(self.raw) if self.alg == ED25519 else _p256(self.raw)

    @computed
    def _verify(self) -> Callable[[bytes, bytes], None]:
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            return self._key.verify
        return partial(_verify_p256, self._key)

    @computed
    def kid(self) -> bytes:
        """The 8 bytes that name this key in headers."""
        return kid(self.raw)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if `signature` (64 bytes) over `message` is this key's, else raise
        `SignatureError`.
        """
        if len(signature) != SIGNATURE_BYTES:
            raise SignatureError("signature.length", f"{len(signature)} bytes, expected 64")
        try:
            self._verify(signature, message)
        except InvalidSignature as error:
            raise SignatureError("signature.wrong", "the signature does not verify") from error


class PrivateKey:
    """A private key of the host: gateway, ledger, owner or issuer. Never a board's, and never
    shown.
    """

    def __init__(self, key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            raw = key.public_key().public_bytes_raw()
            self.public = PublicKey.from_bytes(raw, ED25519)
        else:
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

            raw = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
            self.public = PublicKey.from_bytes(raw, ESP256)

    def __repr__(self) -> str:
        return f"PrivateKey(kid={self.public.kid.hex()})"

    @classmethod
    def generate(cls, alg: int = ED25519) -> PrivateKey:
        """A new key from the operating system's randomness."""
        if alg == ED25519:
            return cls(ed25519.Ed25519PrivateKey.generate())
        if alg == ESP256:
            from cryptography.hazmat.primitives.asymmetric import ec

            return cls(ec.generate_private_key(ec.SECP256R1()))
        raise KeyRefusedError("key.algorithm", f"COSE algorithm {alg!r}, expected -19 or -9")

    @classmethod
    def from_seed(cls, seed: bytes) -> PrivateKey:
        """The Ed25519 key of a 32-byte seed (RFC 8032, 5.1.5): for vectors and simulators."""
        if len(seed) != KEY_BYTES[ED25519]:
            raise KeyRefusedError("key.length", "a seed has 32 bytes")
        return cls(ed25519.Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(cls, pem: bytes) -> PrivateKey:
        """A key as `to_pem` wrote it (PKCS #8, not encrypted: the file's mode protects it)."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            key = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError):
            # the cause is left out: a parser's message may quote the key
            raise FormatError("key.pem", "not an unencrypted PKCS #8 private key in PEM") from None
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return cls(key)
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(key)
        raise KeyRefusedError("key.algorithm", "neither Ed25519 nor P-256")

    def to_pem(self) -> bytes:
        """PKCS #8 in PEM, not encrypted. Write it with mode 0600 and nowhere else."""
        from cryptography.hazmat.primitives import serialization

        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, message: bytes) -> bytes:
        """64 bytes: Ed25519, or r || s with the lower of the two possible s."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        r, s = utils.decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        s = min(s, _P256_ORDER - s)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _ed25519(raw: bytes) -> ed25519.Ed25519PublicKey:
    """The library loads keys that verify anything or have two encodings; this does not."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _P or (y in (1, _P - 1) and raw[31] & 0x80):
        raise KeyRefusedError(
            "key.not-canonical", "this point has another encoding (RFC 8032, 5.1.3)"
        )
    if y in _LOW_ORDER_Y:
        raise KeyRefusedError(
            "key.low-order", "signatures of this key say nothing about the message"
        )
    if not _on_curve(y):
        raise KeyRefusedError("key.point", "not a point of Ed25519")
    return ed25519.Ed25519PublicKey.from_public_bytes(raw)


def _p256(raw: bytes) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    except ValueError as error:
        raise KeyRefusedError("key.point", "not a compressed point of P-256") from error


def _verify_p256(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    # stops a second valid signature made by anyone from the first: (r, n - s)
    if s > _P256_ORDER // 2:
        raise SignatureError("signature.high-s", "s is in the upper half of the order")
    key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


def _on_curve(y: int) -> bool:
    """Is there an x with -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032, 5.1.3)?

    x^2 = u / v is a square if and only if u v is one: one power in place of two and an inversion, because
    a gateway asks it of ten thousand keys when it starts. v is never 0, since -1 / d is no square.
    """
    u, v = y * y - 1, _D * y * y + 1
    return pow(u * v % _P, (_P - 1) // 2, _P) in (0, 1)
