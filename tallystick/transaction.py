"""The transaction on another ledger that carries an anchor (docs/format.md, section 8.1).

An EVM transaction in its oldest form with a chain id (RLP, EIP-155), as it was signed and sent, and
the public key that signed it. Its data is `TAG` || SHA-256(text of a note, signature lines left
out). The note is the anchor's checkpoint; or a checkpoint of the anchor's ledger, which then comes
with the path that shows it to contain the milestone (`Later`).

What it proves without a network: who signed these bytes, for which chain. Whether that chain has
taken them is `tallystick.settlement`'s to say, with what a node of the chain answers.

No block number stands here: a transaction moves to another block when a partition heals. Its hash
stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

from tallystick import cbor, checkpoint, limits, merkle
from tallystick.account import Account
from tallystick.errors import EvidenceError, FormatError, LimitError, SignatureError
from tallystick.fields import octets, uint
from tallystick.note import Note
from tallystick.value import Value

__all__ = [
    "TAG",
    "DataError",
    "Later",
    "Transaction",
    "address_of",
    "calldata",
    "from_value",
    "keccak256",
    "ledger_text",
    "named_text",
    "parse",
    "signed",
]

TAG: Final = b"TLY1"
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_ADDRESS_BYTES: Final = 20
_FIELDS: Final = 9
_LONG: Final = 56  # RLP: from this length on, the length stands in bytes of its own


class DataError(EvidenceError):
    """The transaction carries something else than the anchor it is shown for."""


class Later(Value):
    """A checkpoint (size, root) of the anchor's ledger, and the RFC 9162 consistency path to it
    from the milestone that confirmed the anchor.
    """

    size: int
    root: bytes
    path: tuple[bytes, ...]


class Transaction(Value):
    """A signed transaction (`raw`) and the key of its sender (secp256k1, 33 bytes, compressed).
    `later` is None if the anchor's own note is what its data names. Nothing is verified yet.
    """

    raw: bytes
    key: bytes
    later: Later | None
    chain: int
    nonce: int
    data: bytes
    digest: bytes  # what was signed, 32 bytes
    r: int
    s: int

    @property
    def hash(self) -> bytes:
        """By which the other ledger knows it (32 bytes)."""
        return keccak256(self.raw)

    @property
    def account(self) -> Account:
        """Whose it is, if `verify` returns."""
        return Account(self.chain, address_of(self.key))

    def verify(self) -> None:
        """Return if `key` signed the bytes, else raise `SignatureError`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import (
            Prehashed,
            encode_dss_signature,
        )

        # the chain refuses a high s (EIP-2): one transaction must not have two hashes
        if not (0 < self.r < _ORDER and 0 < self.s <= _ORDER // 2):
            raise SignatureError("signature.high-s", "r or s of the transaction is out of range")
        try:
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), self.key)
            signature = encode_dss_signature(self.r, self.s)
            # any digest of 32 bytes: Keccak-256 has no name of its own here
            public.verify(signature, self.digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        except (InvalidSignature, ValueError) as error:
            raise SignatureError(
                "signature.wrong", "the transaction is not signed by its key"
            ) from error

    def encode(self) -> bytes:
        """The bytes of part 7 of a proof file."""
        return cbor.encode(self.value())

    def value(self) -> list[object]:
        """[raw, key, later / null]."""
        if self.later is None:
            return [self.raw, self.key, None]
        return [self.raw, self.key, [self.later.size, self.later.root, list(self.later.path)]]


def calldata(text: str) -> bytes:
    """What a transaction carries for a note with this text (36 bytes)."""
    return TAG + sha256(text.encode()).digest()


def ledger_text(ledger: bytes, size: int, root: bytes) -> str:
    """The text of the ledger's checkpoint: what its milestone of this size and root commits to."""
    return checkpoint.text(checkpoint.ledger_name(ledger), size, root)


def named_text(note: Note, ledger: bytes, later: Later | None) -> str:
    """The text whose hash the data must hold."""
    return note.text if later is None else ledger_text(ledger, later.size, later.root)


def parse(raw: bytes) -> Transaction:
    """`raw` as part 7 of a proof file; `FormatError` or `LimitError` (`transaction.*`) otherwise."""
    return from_value(cbor.decode(raw, limit=limits.TRANSACTION_BYTES))


def from_value(value: cbor.Value) -> Transaction:
    """The decoded CBOR [raw, key, later / null] as a transaction."""
    if not isinstance(value, list) or len(value) != 3:
        raise FormatError("transaction.shape", "a transaction is [raw, key, later]")
    raw, key, later = value
    if not isinstance(raw, bytes):
        raise FormatError("transaction.shape", "the transaction is not a byte string")
    return signed(raw, octets(key, "sender's key", 33), _later(later))


def signed(raw: bytes, key: bytes, later: Later | None = None) -> Transaction:
    """The signed bytes `raw` of the holder of `key`, taken apart; `FormatError` if they are not of
    the one form that is accepted.
    """
    if len(raw) > limits.TRANSACTION_RAW_BYTES:
        raise LimitError("transaction.too-long", f"{len(raw)} bytes in one transaction")
    if key[:1] not in (b"\x02", b"\x03"):
        raise FormatError("transaction.key", "not a compressed secp256k1 key")
    fields = _unlist(raw)
    if len(fields) != _FIELDS:
        raise FormatError("transaction.rlp", f"{len(fields)} fields, a transaction has nine")
    number = [_integer(fields[i]) for i in (0, 1, 2, 4, 6, 7, 8)]
    nonce, v, r, s = number[0], number[4], number[5], number[6]
    if len(fields[3]) != _ADDRESS_BYTES:
        raise FormatError("transaction.rlp", "the receiver is not 20 bytes")
    # EIP-155: a signature without the chain's id would count on every chain
    if v < 37:
        raise FormatError("transaction.chain", "the signature names no chain (EIP-155)")
    chain = (v - 35) // 2
    if chain > limits.CHAIN:
        raise FormatError("transaction.chain", "the chain's id is above the limit")
    digest = keccak256(_relist([*fields[:6], _bytes(chain), b"", b""]))
    return Transaction(raw, key, later, chain, nonce, fields[5], digest, r, s)


def address_of(key: bytes) -> bytes:
    """The account (20 bytes) of a compressed secp256k1 key; `FormatError` if it is no point."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key)
    except ValueError as error:
        raise FormatError("transaction.key", "not a point of secp256k1") from error
    point = public.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return keccak256(point[1:])[12:]


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as the EVM has it: SHA-3 before its padding was changed."""
    from Crypto.Hash import keccak

    return keccak.new(digest_bits=256, data=data).digest()


def _later(value: cbor.Value) -> Later | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3:
        raise FormatError("transaction.shape", "a later checkpoint is [size, root, path]")
    size, root, path = value
    if not isinstance(path, list) or len(path) > limits.PATH_HASHES:
        raise FormatError("transaction.shape", "the path is not an array of at most 126 hashes")
    return Later(
        uint(size, "size", limits.TREE_SIZE, at_least=1),
        octets(root, "root", merkle.HASH_BYTES),
        tuple(octets(one, "path", merkle.HASH_BYTES) for one in path),
    )


# ---- RLP, only as far as one flat list of byte strings, in its one canonical form


def _unlist(raw: bytes) -> list[bytes]:
    items = _payload(raw, 0xC0)
    return list(_items(items))


def _items(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        first = data[at]
        if first < 0x80:
            yield data[at : at + 1]
            at += 1
            continue
        if first >= 0xC0:
            raise FormatError("transaction.rlp", "a list inside the transaction")
        head, length = _head(data[at:], 0x80)
        item = data[at + head : at + head + length]
        if len(item) != length:
            raise FormatError("transaction.rlp", "the transaction is cut off")
        if length == 1 and item[0] < 0x80:
            raise FormatError("transaction.rlp", "a byte in its longer form")
        yield item
        at += head + length


def _payload(raw: bytes, base: int) -> bytes:
    if not raw or raw[0] < base:
        raise FormatError("transaction.rlp", "not a transaction of the form with an EIP-155 chain")
    head, length = _head(raw, base)
    if len(raw) != head + length:
        raise FormatError("transaction.rlp", "bytes are missing or left over")
    return raw[head:]


def _head(data: bytes, base: int) -> tuple[int, int]:
    """(bytes of the head, bytes that follow it)."""
    short = data[0] - base
    if short < _LONG:
        return 1, short
    count = short - _LONG + 1
    digits = data[1 : 1 + count]
    length = int.from_bytes(digits, "big")
    if len(digits) != count or digits[:1] == b"\0" or length < _LONG:
        raise FormatError("transaction.rlp", "a length in its longer form")
    return 1 + count, length


def _relist(items: Sequence[bytes]) -> bytes:
    body = b"".join(
        one if len(one) == 1 and one[0] < 0x80 else _prefix(len(one), 0x80) + one for one in items
    )
    return _prefix(len(body), 0xC0) + body


def _prefix(length: int, base: int) -> bytes:
    if length < _LONG:
        return bytes([base + length])
    digits = _bytes(length)
    return bytes([base + _LONG - 1 + len(digits)]) + digits


def _integer(field: bytes) -> int:
    if len(field) > 32 or field[:1] == b"\0":
        raise FormatError("transaction.rlp", "a number in its longer form")
    return int.from_bytes(field, "big")


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
