"""What browsers do not know, and the page therefore has of its own: Keccak-256 and secp256k1, against libraries.

If these fail, the page takes a transaction that nobody signed for the anchor of a proof, or refuses a good one.
"""

from __future__ import annotations

import hashlib
from typing import Any

from Crypto.Hash import keccak
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.host_tools.page.questions import answers

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
RATE = 136  # bytes that Keccak-256 takes in at once


def test_keccak() -> None:
    """Lengths on both sides of each border of its padding."""
    lengths = [0, 1, 7, 8, 31, 32, 64, RATE - 1, RATE, RATE + 1, 2 * RATE - 1, 2 * RATE, 1000]
    given = [bytes(i % 251 for i in range(length)) for length in lengths]
    expected = [keccak.new(digest_bits=256, data=one).hexdigest() for one in given]
    assert expected == [one["hash"] for one in answers({"keccak": one.hex()} for one in given)]
    # the one that everybody knows, so that library and page cannot be wrong together
    assert "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470" == expected[0]


def question(key: bytes, digest: bytes, r: int, s: int) -> dict[str, Any]:
    return {"secp256k1": [key.hex(), digest.hex()], "r": f"{r:x}", "s": f"{s:x}"}


def test_secp256k1() -> None:
    questions: list[dict[str, Any]] = []
    expected: list[str | None] = []
    for secret in (1, 2, 3, 7, ORDER - 1, 2**200 + 1, int.from_bytes(b"tally" * 6, "big")):
        private = ec.derive_private_key(secret, ec.SECP256K1())
        key = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        digest = hashlib.sha256(secret.to_bytes(32, "big")).digest()
        signature = private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        r, s = decode_dss_signature(signature)
        s = min(s, ORDER - s)
        other = hashlib.sha256(digest).digest()
        wrong_sign = bytes([key[0] ^ 1]) + key[1:]
        for code, one in (
            (None, question(key, digest, r, s)),
            ("signature.wrong", question(key, other, r, s)),
            ("signature.wrong", question(wrong_sign, digest, r, s)),
            ("signature.wrong", question(key, digest, (r + 1) % ORDER, s)),
            ("signature.wrong", question(b"\x02" + b"\xff" * 32, digest, r, s)),
            ("signature.high-s", question(key, digest, r, ORDER - s)),
            ("signature.high-s", question(key, digest, 0, s)),
            ("signature.high-s", question(key, digest, ORDER, s)),
            ("signature.high-s", question(key, digest, r, 0)),
        ):
            expected.append(code)
            questions.append(one)
    assert expected == [one["code"] for one in answers(questions)]
