"""The shortest verifier: docs/format.md, section 12, for a device with one key.

    python docs/verifier.py FILE ISSUER-DID GATEWAY-LINE LEDGER-LINE

To read beside the page. What it does not know it calls undecided: rotated keys, fork parts and
statements. It leaves out parts 10 and 11 (not before) and 7 (of bridges alone).
"""

from __future__ import annotations

import sys
from base64 import b64decode
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
RECORD, BLOCK, CREDENTIAL, OPEN, READINGS, EVENT = 65000, 65006, 61, 0, 1, 3
WORST = {"failed": "TAMPERED", "undecided": "UNDECIDED", "untrusted": "UNTRUSTED"}


def decode(raw: bytes) -> Any:  # section 1: encoded again, it has the same bytes
    value = cbor2.loads(raw, allow_duplicate_keys=False, allow_indefinite=False, max_depth=8)
    if cbor2.dumps(value, canonical=True) != raw:
        raise ValueError("not deterministic")
    return value


def key_of(did: str) -> bytes:  # section 2
    number = sum(58**i * BASE58.index(digit) for i, digit in enumerate(did[:8:-1]))
    data = number.to_bytes(35, "big").lstrip(b"\0")  # a prefix, then the key
    return {b"\xed\x01": data[2:], b"\x80\x24": data[2:]}[data[:2]]


def valid(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        if len(key) == 32:
            ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
            return True
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
        point.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
        return s <= ORDER // 2 and len(signature) == 64
    except InvalidSignature:
        return False


class Signed:  # section 3
    def __init__(self, raw: bytes, typ: int) -> None:
        protected, unprotected, payload, self.signature = decode(raw).value
        self.raw, self.header, self.payload = raw, decode(protected), decode(payload)
        if {*self.header} != {1, 4, 16} or self.header[16] != typ or unprotected != {}:
            raise ValueError("another kind of object")
        self.message = cbor2.dumps(["Signature1", protected, b"", payload])
        self.id = sha256(raw if typ == BLOCK else self.message).digest()

    def by(self, key: bytes) -> bool:
        own = {1: {32: -19, 33: -9}[len(key)], 4: sha256(key).digest()[:8], 16: self.header[16]}
        return self.header == own and valid(key, self.signature, self.message)


def included(entry: bytes, index: int, path: list[bytes], size: int, root: bytes) -> bool:
    node, inner = sha256(b"\0" + entry).digest(), (index ^ (size - 1)).bit_length()  # section 7
    for level, other in enumerate(path):  # from level `inner` on all siblings stand on the left
        left = level >= inner or index >> level & 1
        node = sha256(b"\1" + (other + node if left else node + other)).digest()
    return 0 <= index < size and len(path) == inner + (index >> inner).bit_count() and node == root


def verify(data: bytes, issuer: str, gateway: str, ledger: str) -> dict[str, str]:
    # 1. proof.format
    magic, version, parts = decode(data)
    if (magic, version) != ("tally", 1) or parts != sorted(parts, key=lambda part: part[0]):
        raise ValueError("not a proof file")
    of = {n: [raw for kind, raw in parts if kind == n] for n in range(1, 14)}
    records, opens = [Signed(raw, RECORD) for raw in of[1]], [Signed(raw, RECORD) for raw in of[2]]
    position, path, milestone = 0, [], None
    if of[6]:
        block, position, path, by = decode(of[6][0])
        anchor, milestone = Signed(block, BLOCK), Signed(by, BLOCK)
    note = anchor.payload[3] if milestone else of[5][0]
    # 2. device.credential
    credential = Signed(of[8][0], CREDENTIAL)
    said, out = credential.payload, {}
    device = key_of(said[2])
    late = milestone and not said[5] <= milestone.payload[1] < said.get(4, 2**40)
    forged = said[1] == issuer and not credential.by(key_of(issuer))
    known = said[1] == issuer and not late
    out["device.credential"] = "untrusted" if not known else "failed" if forged else "ok"
    # 3. device.key
    out["device.key"] = "undecided" if of[3] or 8 in said else "ok"
    # 4. record.signature
    out["record.signature"] = "ok" if all(r.by(device) for r in records + opens) else "failed"
    # 5. record.open
    width = {r.payload[0]: len(r.payload[9]) for r in opens + records if r.payload[3] == OPEN}
    columns = [(r.payload[4], len(r.payload) - 6) for r in records if r.payload[3] == READINGS]
    fits = all(width.get(boot, count) == count for boot, count in columns)
    present = all(boot in width for boot, _ in columns)
    out["record.open"] = "failed" if not fits else "ok" if present else "undecided"
    # 6. chain.link, chain.gap, chain.fork
    genesis = sha256(b"tallystick/v1/genesis\n" + device).digest()
    ids = {r.payload[0]: r.id for r in records} | {-1: genesis}
    linked = all(ids.get(r.payload[0] - 1, r.payload[1]) == r.payload[1] for r in records)
    out["chain.link"] = "ok" if linked else "failed" if "failed" in out.values() else "untrusted"
    given_up = [r.payload[5:7] for r in records if r.payload[3] == EVENT and r.payload[4] in (1, 2)]
    explained = {seq for start, end in given_up for seq in range(start, end + 1)} | ids.keys()
    whole = explained.issuperset(range(records[0].payload[0], records[-1].payload[0]))
    out["chain.gap"] = "ok" if whole else "undecided"
    out["chain.fork"] = "undecided" if of[12] else "ok"
    # 7. log.inclusion
    text, lines = note.decode().rsplit("\n\n", 1)
    origin, size, root = text.split("\n")
    entries = zip(records, map(decode, of[4]), strict=False)
    log = [included(r.raw, index, way, int(size), b64decode(root)) for r, (index, way) in entries]
    whole = len(log) == len(records)
    out["log.inclusion"] = "undecided" if not whole else "ok" if all(log) else "failed"
    # 8. checkpoint.signature
    name, key_id, encoded = gateway.split("+", 2)
    out["checkpoint.signature"] = "untrusted" if name != origin else "failed"
    for _, signer, line in map(str.split, lines.splitlines()):
        signature = b64decode(line)
        if (signer, signature[:4].hex()) == (name, key_id) and name == origin:
            good = valid(b64decode(encoded)[1:], signature[4:], f"{text}\n".encode())
            out["checkpoint.signature"] = "ok" if good else "failed"
    # 9. ledger.inclusion, ledger.milestone
    out["ledger.inclusion"] = out["ledger.milestone"] = "pending"
    if milestone:
        ledger_id, _, _, first, blocks, top = milestone.payload[3]
        there = position >= first and included(anchor.id, position, path, blocks, top)
        out["ledger.inclusion"] = "ok" if there else "failed"
        name, _, encoded = ledger.split("+", 2)
        signed = milestone.by(b64decode(encoded)[1:])
        known = name == f"tallystick-ledger/{ledger_id.hex()}"
        out["ledger.milestone"] = "untrusted" if not known else "ok" if signed else "failed"
    # 10. device.status
    out["device.status"] = "undecided" if of[9] else "ok"
    return out


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        checks = verify(file.read(), *sys.argv[2:5])
    pending = "PENDING" if "pending" in checks.values() else "VERIFIED"
    print([*(word for how, word in WORST.items() if how in checks.values()), pending][0], checks)
