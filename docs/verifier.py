"""The shortest verifier: docs/format.md, section 12, for a device with one Ed25519 key.

    python docs/verifier.py FILE ISSUER-DID GATEWAY-LINE LEDGER-LINE

To read beside the page. What it does not know it calls undecided: other algorithms, rotated keys,
fork parts and statements. It leaves the lower time bound (parts 10 and 11) out.
"""

from __future__ import annotations

import sys
from base64 import b64decode
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
RECORD, BLOCK, CREDENTIAL = 65000, 65006, 61
OPEN, READINGS, EVENT = 0, 1, 3
WORST = {"failed": "TAMPERED", "undecided": "UNDECIDED", "untrusted": "UNTRUSTED"}
WORST["pending"] = "PENDING"


def decode(raw: bytes) -> Any:  # section 1: encoded again, it has the same bytes
    value = cbor2.loads(raw, allow_duplicate_keys=False, allow_indefinite=False, max_depth=8)
    if cbor2.dumps(value, canonical=True) != raw:
        raise ValueError("not deterministic")
    return value


def key_of(did: str) -> bytes:  # section 2
    number = 0
    for digit in did.removeprefix("did:key:z"):
        number = number * 58 + BASE58.index(digit)
    data = number.to_bytes(34, "big")
    if data[:2] != b"\xed\x01":
        raise ValueError("not an Ed25519 key")
    return data[2:]


def valid(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


class Signed:  # section 3
    def __init__(self, raw: bytes, typ: int) -> None:
        protected, unprotected, payload, self.signature = decode(raw).value
        self.raw, self.kid, self.payload = raw, decode(protected)[4], decode(payload)
        if decode(protected) != {1: -19, 4: self.kid, 16: typ} or unprotected != {}:
            raise ValueError("another kind of object")
        self.message = cbor2.dumps(["Signature1", protected, b"", payload])
        self.id = sha256(raw if typ == BLOCK else self.message).digest()

    def by(self, key: bytes) -> bool:
        return self.kid == sha256(key).digest()[:8] and valid(key, self.signature, self.message)


def included(entry: bytes, index: int, path: list[bytes], size: int, root: bytes) -> bool:
    node, inner = sha256(b"\0" + entry).digest(), (index ^ (size - 1)).bit_length()  # section 7
    for level, other in enumerate(path):  # from level `inner` on all siblings stand on the left
        left = level >= inner or index >> level & 1
        node = sha256(b"\1" + (other + node if left else node + other)).digest()
    length = inner + (index >> inner).bit_count()
    return 0 <= index < size and len(path) == length and node == root


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
    out["device.credential"] = "ok" if said[1] == issuer else "untrusted"
    if said[1] == issuer and not credential.by(key_of(issuer)):
        out["device.credential"] = "failed"
    if milestone and not said[5] <= milestone.payload[1] < said.get(4, 2**40):
        out["device.credential"] = "untrusted"
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
    out["log.inclusion"] = (
        "undecided" if len(log) < len(records) else "ok" if all(log) else "failed"
    )
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
    print([*(word for how, word in WORST.items() if how in checks.values()), "VERIFIED"][0], checks)
