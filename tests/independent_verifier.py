"""A second verifier of proof files, written from docs/format.md alone; it shares no code with ours.

    python independent_verifier.py FILE ISSUER-DID,... GATEWAY-LINE,... LEDGER-LINE,... [BRIDGE,...]

`judge` is section 12, step by step. It is narrower than the page: it does not judge statements
(with any, `device.status` is undecided), and of each object it checks the form of what a verdict
hangs on. A bridge is a ledger's line, an equals sign and the account that pays; no node of the
other ledger is asked, so that at best its `ledger.transaction` is skipped, which leaves the verdict
undecided.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from hashlib import sha256
from itertools import pairwise
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

P, Y8 = 2**255 - 19, 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
ED25519, ESP256 = -19, -9
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
RECORD, POSSESSION, BLOCK, CREDENTIAL, EVER = 65000, 65001, 65006, 61, 2**40
OPEN, READINGS, BEACON, EVENT, ROTATE = range(5)
Keys = dict[str, bytes]  # by the name of the log or ledger
Checks = dict[str, str]  # how each check of section 12 ended
VERDICTS = {
    "failed": "TAMPERED",
    "undecided": "UNDECIDED",
    "untrusted": "UNTRUSTED",
    "pending": "PENDING",
}
MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, cbor2.CBORError)


def must(condition: Any) -> None:
    if not condition:
        raise ValueError("malformed")


def plain(value: Any) -> bool:  # section 1: the types that have a place in the format
    if isinstance(value, cbor2.CBORTag):
        return value.tag == 18 and plain(value.value)
    if isinstance(value, list | tuple) or hasattr(value, "items"):
        return all(map(plain, value)) and all(map(plain, getattr(value, "values", list)()))
    return value is None or type(value) in (int, bytes, str, bool)


def decode(raw: bytes) -> Any:  # section 1: encoded again, it has the same bytes
    value = cbor2.loads(raw, allow_duplicate_keys=False, allow_indefinite=False, max_depth=8)
    must(plain(value) and cbor2.dumps(value, canonical=True) == raw)
    return value


def key_of(did: str) -> bytes:  # section 2: the key that a did:key names
    number = 0
    for digit in did[9:]:
        number = number * 58 + BASE58.index(digit)
    if did[:9] == "did:key:z" and len(did) == 57 and number >> 264 == 0x8024:
        return number.to_bytes(35, "big")[2:]
    must(did[:9] == "did:key:z" and len(did) == 56 and number >> 256 == 0xED01)
    return number.to_bytes(34, "big")[2:]


def point(key: bytes) -> ec.EllipticCurvePublicKey:
    must(len(key) == 33)  # section 2: compressed, and on the curve
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)


def alg_of(key: bytes) -> int:
    return ED25519 if len(key) == 32 else ESP256


def kid(key: bytes) -> bytes:  # section 2: of a key that is canonical and not of low order
    if alg_of(key) == ESP256:
        point(key)
        return sha256(key).digest()[:8]
    y = int.from_bytes(key, "little") % 2**255
    must(len(key) == 32 and y < P and y not in (0, 1, P - 1, Y8, P - Y8))
    return sha256(key).digest()[:8]


def valid(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        if alg_of(key) == ESP256:
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            encoded = utils.encode_dss_signature(r, s)
            point(key).verify(encoded, message, ec.ECDSA(SHA256()))
            return len(signature) == 64 and s <= N // 2
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def cose_key(key: Any) -> bytes:  # section 9: RFC 9053, 7
    return bytes(key[-2]) if key[1] == 1 else bytes([2 + bool(key[-3])]) + bytes(key[-2])


def outcome(**found: Any) -> str:
    return next((result for result, hit in found.items() if hit), "ok")


class Signed:  # section 3; what records and blocks hold: sections 4 and 8
    def __init__(self, raw: bytes, typ: int) -> None:
        protected, unprotected, payload, self.signature = decode(raw).value
        header = decode(protected)
        self.raw, self.alg, self.kid, self.payload = raw, header[1], header[4], decode(payload)
        must(header == {1: self.alg, 4: self.kid, 16: typ} and unprotected == {})
        must(self.alg in (ED25519, ESP256))
        must(type(self.kid) is type(self.signature) is bytes)
        must((len(self.kid), len(self.signature)) == (8, 64))
        self.message = cbor2.dumps(["Signature1", protected, b"", payload])
        self.id = sha256(raw if typ == BLOCK else self.message).digest()
        if typ == RECORD:
            self.seq, self.prev, self.time, self.kind, *self.body = self.payload
            must(0 <= self.seq < EVER and 0 <= self.time < EVER and self.kind in range(5))
        if typ == BLOCK:
            self.parents, self.time, self.kind, self.body = self.payload

    def by(self, key: bytes) -> bool:
        mine = (self.alg, self.kid) == (alg_of(key), kid(key))
        return mine and valid(key, self.signature, self.message)


class Milestone(Signed):  # section 8
    def __init__(self, raw: bytes) -> None:
        super().__init__(raw, BLOCK)
        self.ledger, _, previous, self.first, self.size, self.root = self.body
        must(self.kind == 1 and self.parents[0] == previous and self.first < self.size)

    def judged(self, ledgers: Keys) -> str:
        key = ledgers.get("tallystick-ledger/" + self.ledger.hex())
        return outcome(untrusted=not key, failed=key and not self.by(key))


def included(entry: bytes, index: int, path: list[bytes], size: int, root: bytes) -> bool:
    must(index >= 0)  # section 7: below level `inner` the path is that of a full tree
    node, inner = sha256(b"\0" + entry).digest(), (index ^ (size - 1)).bit_length()
    for level, other in enumerate(path):
        pair = other + node if level >= inner or index >> level & 1 else node + other
        node = sha256(b"\1" + pair).digest()
    return index < size and len(path) == inner + (index >> inner).bit_count() and node == root


def together(at: dict[int, bytes], start: int, end: int, left: list[bytes]) -> bytes:
    if not at:  # section 11: the root over the leaves start..end-1, by part 14
        return left.pop(0) if left else b""
    if end - start == 1:
        return sha256(b"\0" + at[start]).digest()
    middle = start + (1 << (end - start - 1).bit_length() - 1)
    below = together({i: raw for i, raw in at.items() if i < middle}, start, middle, left)
    above = together({i: raw for i, raw in at.items() if i >= middle}, middle, end, left)
    return sha256(b"\1" + below + above).digest()


def grown(size: int, root: bytes, later: int, top: bytes, path: list[bytes]) -> bool:
    if size == later:  # sections 7 and 8.1: RFC 9162, 2.1.4.2
        return not path and root == top
    if not (0 < size < later and path):
        return False
    old, new = size - 1, later - 1
    while old & 1:
        old, new = old >> 1, new >> 1
    first, *rest = path if old else [root, *path]
    left = right = first
    for other in rest:
        if not new:
            return False
        if old & 1 or old == new:
            left, right = (sha256(b"\1" + other + node).digest() for node in (left, right))
            while old and not old & 1:
                old, new = old >> 1, new >> 1
        else:
            right = sha256(b"\1" + right + other).digest()
        old, new = old >> 1, new >> 1
    return not new and (left, right) == (root, top)


def keccak256(data: bytes) -> bytes:  # section 8.1; FIPS 202 with the padding of before it
    rate, full, state, lfsr = 136, 2**64 - 1, [0] * 25, 1
    padded = bytearray(data + bytes(rate - len(data) % rate))
    padded[len(data)] ^= 1
    padded[-1] ^= 0x80

    def turned(lane: int, by: int) -> int:
        return (lane << by | lane >> 64 - by) & full

    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            lane = padded[start + 8 * i : start + 8 * i + 8]
            state[i] ^= int.from_bytes(lane, "little")
        lfsr = 1
        for _ in range(24):
            c = [
                state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20]
                for x in range(5)
            ]
            state = [
                lane ^ c[(i + 4) % 5] ^ turned(c[(i + 1) % 5], 1) for i, lane in enumerate(state)
            ]
            x, y, moved = 1, 0, state[1]
            for t in range(24):
                x, y = y, (2 * x + 3 * y) % 5
                moved, state[x + 5 * y] = (
                    state[x + 5 * y],
                    turned(moved, (t + 1) * (t + 2) // 2 % 64),
                )
            rows = [state[i : i + 5] for i in range(0, 25, 5)]
            state = [r[x] ^ ~r[(x + 1) % 5] & r[(x + 2) % 5] for r in rows for x in range(5)]
            for j in range(7):
                lfsr = lfsr << 1 ^ (lfsr >> 7) * 0x171
                state[0] ^= (lfsr >> 1 & 1) << 2**j - 1
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


def rlp(items: list[bytes]) -> bytes:  # section 8.1: one flat list, in its one form
    def head(length: int, base: int) -> bytes:
        digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
        return bytes([base + length] if length < 56 else [base + 55 + len(digits), *digits])

    alone = [one if len(one) == 1 and one[0] < 128 else head(len(one), 128) + one for one in items]
    return head(sum(map(len, alone)), 192) + b"".join(alone)


def unrlp(raw: bytes) -> list[bytes]:
    at = 1 if raw[0] < 248 else raw[0] - 246
    items = []
    while at < len(raw):
        first = raw[at]
        more = first - 183 if 184 <= first < 192 else 0
        length = int.from_bytes(raw[at + 1 : at + 1 + more], "big") if more else max(first - 128, 0)
        begin = at + (first >= 128) + more
        at = begin + (length if first >= 128 else 1)
        items.append(raw[begin:at])
    must(rlp(items) == raw)
    return items


class Transaction:  # section 8.1
    def __init__(self, value: list[Any]) -> None:
        raw, self.key, self.later = value
        must(len(raw) <= 512 and len(self.key) == 33 and self.key[0] in (2, 3))
        *fields, v, r, s = unrlp(raw)
        must(len(fields) == 6 and len(fields[3]) == 20)
        numbers = [fields[i] for i in (0, 1, 2, 4)] + [v, r, s]
        must(all(len(one) <= 32 and one[:1] != b"\0" for one in numbers))
        self.data = fields[5]
        number, self.r, self.s = (int.from_bytes(one, "big") for one in (v, r, s))
        self.chain = (number - 35) // 2
        must(0 < self.chain < 2**53)
        chain = self.chain.to_bytes((self.chain.bit_length() + 7) // 8, "big")
        self.digest = keccak256(rlp([*fields, chain, b"", b""]))
        if self.later is not None:
            size, root, path = self.later
            must(size > 0 and len(root) == 32 and len(path) <= 126 and {*map(len, path)} <= {32})

    def account(self) -> str:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), self.key)
        numbers = point.public_numbers()
        whole = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        return f"eip155:{self.chain}:0x{keccak256(whole)[12:].hex()}"

    def carries(self, note: bytes, milestone: Milestone) -> bool:
        order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        if not (0 < self.r < order and 0 < self.s <= order // 2):
            return False
        try:
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), self.key)
            way = ec.ECDSA(utils.Prehashed(SHA256()))  # any digest of 32 bytes
            public.verify(utils.encode_dss_signature(self.r, self.s), self.digest, way)
        except (InvalidSignature, ValueError):
            return False
        if self.later is not None:
            size, root, path = self.later
            if not grown(milestone.size, milestone.root, size, root, path):
                return False
            origin = f"tallystick-ledger/{milestone.ledger.hex()}"
            note = f"{origin}\n{size}\n{b64encode(root).decode()}\n".encode()
        return self.data == b"TLY1" + sha256(note).digest()


def read_note(raw: bytes) -> tuple[str, int, bytes, bytes, list[tuple[str, bytes]]]:  # section 7
    text, tail = raw.decode().rsplit("\n\n", 1)
    origin, size, root = text.split("\n")
    lines = [(name, b64decode(b64)) for _, name, b64 in map(str.split, tail.splitlines())]
    again = "".join(f"\N{EM DASH} {name} {b64encode(line).decode()}\n" for name, line in lines)
    must(f"{origin}\n{int(size)}\n{b64encode(b64decode(root)).decode()}\n\n{again}".encode() == raw)
    return origin, int(size), b64decode(root), f"{text}\n".encode(), lines


def judge(
    data: bytes, issuers: list[str], gateways: Keys, ledgers: Keys, bridges: dict[str, str]
) -> Checks:
    # 1. proof.format
    magic, version, parts = decode(data)
    of = {n: [raw for kind, raw in parts if kind == n] for n in range(1, 15)}
    must(magic == "tally" and version == 1 and all(len(of[n]) < 2 for n in (8, 11, 13, 14)))
    must(len(of[7]) <= len(of[6]))
    sent = [Transaction(decode(raw)) for raw in of[7]]
    must([kind for kind, _ in parts] == [n for n in of for _ in of[n]])  # known, ascending
    must(of[1] and len(of[4]) in (0, len(of[1])) and len(of[5] + of[6]) == 1)
    records, opens, turns, links = ([Signed(raw, RECORD) for raw in of[n]] for n in (1, 2, 3, 10))
    walk = links + records
    for group, kinds in (walk, range(5)), (opens, [OPEN]), (turns, [ROTATE]):
        must([r.seq for r in group] == sorted({r.seq for r in group if r.kind in kinds}))
    forks = [[Signed(raw, RECORD) for raw in decode(pair)] for pair in of[12]]
    everything = walk + opens + turns + [r for pair in forks for r in pair]
    inclusions = [decode(raw) for raw in of[4]]
    shared = [decode(raw) for raw in of[14]]
    for indices, roots in shared:
        must(not of[4] and len(indices) == len(set(indices)) == len(of[1]))
        must(all(type(i) is int and i >= 0 for i in indices) and all(len(h) == 32 for h in roots))
    must(not of[13] or (of[6] and len(decode(of[13][0])) == 2))
    raw, position, path, by = decode(of[6][0]) if of[6] else (None, 0, [], None)
    block, milestone = (Signed(raw, BLOCK), Milestone(by)) if by else (None, None)
    must(block is None or block.kind == 2)
    origin, size, root, text, lines = read_note(block.body if block else of[5][0])
    # 2. device.credential
    if not of[8]:
        return {"device.credential": "undecided"}
    credential, out = Signed(of[8][0], CREDENTIAL), {}
    said = credential.payload
    first, known = key_of(said[2]), said[1] in issuers
    late = milestone and not said[5] <= milestone.time < said.get(4, EVER)
    forged = known and not credential.by(key_of(said[1]))
    out["device.credential"] = outcome(failed=forged, untrusted=not known or late or -65537 in said)
    # 3. device.key
    changes = {(r.seq + 1, r.body[1]): r for r in turns + walk if r.kind == ROTATE}
    cnf = cose_key(said[8][1]) if 8 in said else first
    if cnf not in [first, *(key for _, key in changes)]:
        used = min((r.seq for r in everything if r.kid == kid(cnf)), default=EVER)
        changes[used, cnf] = credential
    periods, out["device.key"] = [(0, first)], "ok"  # from which seq on each key is in force
    for (start, key), by in sorted(changes.items()):
        old = periods[-1][1]
        if by is not credential and out["device.key"] == "ok":
            header = cbor2.dumps({1: alg_of(key), 4: kid(key), 16: POSSESSION})
            named = cbor2.dumps([kid(first), by.seq, by.prev, by.time, alg_of(key), key])
            possessed = valid(key, by.body[2], cbor2.dumps(["Signature1", header, b"", named]))
            right = by.by(old) and possessed
            out["device.key"] = outcome(undecided=by.kid != kid(old), failed=not right)
        periods.append((start, key))
    # 4. record.signature
    keys = {kid(key): key for _, key in periods}
    good = {r.raw for r in everything if r.kid in keys and r.by(keys[r.kid])}
    bad = [r for r in everything if r.raw not in good]
    out["record.signature"] = outcome(failed={r.kid for r in bad} & {*keys}, undecided=bad)
    # 5. record.open
    in_force = {r: [key for start, key in periods if start <= r.seq][-1] for r in opens + walk}
    replaced = {r for r, key in in_force.items() if r.kid != kid(key)}
    width = {r.seq: len(r.body[5]) for r in opens + walk if r.kind == OPEN}
    columns = [(r.body[0], len(r.body) - 2) for r in records if r.kind == READINGS]
    unlike = [boot for boot, count in columns if width.get(boot, count) != count]
    missing = [boot for boot, _ in columns if boot not in width]
    out["record.open"] = outcome(failed=unlike, undecided=missing, untrusted=replaced & {*opens})
    # 6. chain.link, chain.gap, chain.fork
    genesis = sha256(b"tallystick/v1/genesis\n" + first).digest()
    spliced = walk[0].seq == 0 and (walk[0].prev, walk[0].kind) != (genesis, OPEN)
    pairs = [(a, b) for a, b in pairwise(walk) if a.seq + 1 == b.seq]
    broken = [{a.raw, b.raw} for a, b in pairs if b.prev != a.id]
    unopened = [b for a, b in pairs if a.kind == ROTATE and b.kind != OPEN]
    wrong = spliced or unopened or not all(pair <= good for pair in broken)
    out["chain.link"] = outcome(failed=wrong, untrusted=broken or replaced & {*walk})
    given_up = [r.body[1:] for r in walk if r.kind == EVENT and r.body[0] in (1, 2)]
    upto, gap = walk[0].seq, False
    for start, end in sorted(given_up + [[r.seq, r.seq] for r in walk]):
        gap, upto = gap or start > upto + 1, max(upto, end)
    out["chain.gap"] = outcome(undecided=gap)
    for number, pair in enumerate(forks):
        a, b = pair if pair[0].seq <= pair[1].seq else pair[::-1]
        apart = a.id != b.id if a.seq == b.seq else a.seq + 1 == b.seq and b.prev != a.id
        after = a.kind == ROTATE and a.seq < b.seq  # by the key that it replaced
        proves = (apart or after) and a.kid == b.kid and {a.raw, b.raw} <= good
        hit = [r for r in records if r.kid == a.kid and r.seq >= a.seq + (not apart)]
        out[f"chain.fork {number}"] = outcome(undecided=not proves, untrusted=hit)
    # 7. log.inclusion
    leaves = zip([r.raw for r in records], inclusions, strict=False)
    logged = [included(raw, index, way, size, root) for raw, (index, way) in leaves]
    for indices, roots in shared:
        at, left = dict(zip(indices, (r.raw for r in records), strict=True)), list(roots)
        logged = [max(indices) < size and together(at, 0, size, left) == root and not left]
    out["log.inclusion"] = outcome(failed=not all(logged), undecided=not logged)
    # 8. checkpoint.signature
    key = gateways.get(origin, b"")
    mark = origin, sha256(origin.encode() + b"\n\1" + key).digest()[:4]
    signatures = [line[4:] for name, line in lines if (name, line[:4]) == mark]
    fits = key and signatures and all(valid(key, one, text) for one in signatures)
    out["checkpoint.signature"] = outcome(untrusted=not key, failed=not fits)
    # 9. ledger.inclusion, ledger.milestone
    out["ledger.inclusion"] = out["ledger.milestone"] = "pending"
    if block and milestone:
        early = position < milestone.first  # another milestone confirmed it
        there = included(block.id, position, path, milestone.size, milestone.root)
        out["ledger.inclusion"] = outcome(failed=early or not there)
        out["ledger.milestone"] = milestone.judged(ledgers)
    asked = bridges.get(f"tallystick-ledger/{milestone.ledger.hex()}") if milestone else None
    if asked and milestone:
        false = [one for one in sent if not one.carries(text, milestone)]
        strange = not false and [one for one in sent if one.account() != asked]
        # skipped without a node of the other ledger, and then the verdict is undecided
        out["ledger.transaction"] = outcome(failed=false, untrusted=strange, undecided=True)
    # 10. device.status
    out["device.status"] = outcome(undecided=of[9])
    # 11. time.window
    anchored = {out["log.inclusion"], out["ledger.inclusion"], out["ledger.milestone"]}
    for before in map(Milestone, of[11]):
        whole = walk[-1].seq - walk[0].seq + 1 == len(walk) and out["chain.link"] == "ok"
        names = {OPEN: walk[0].body[7:8], BEACON: walk[0].body[:1]}.get(walk[0].kind)
        apart = milestone and milestone.ledger != before.ledger
        useless = not whole or names != [[before.ledger, before.id]] or apart
        says = before.judged(ledgers)
        late = milestone and not asked and anchored == {"ok"} and before.time > milestone.time
        fails = says == "failed" or (says == "ok" and late)
        out["time.window"] = outcome(undecided=useless, failed=fails, untrusted=says != "ok")
    return out


def verifier_keys(lines: list[str]) -> Keys:  # section 7
    parts = [line.split("+", 2) for line in lines if line]
    return {name: b64decode(raw)[1:] for name, _, raw in parts}


def verify(
    data: bytes,
    issuers: list[str],
    gateways: list[str],
    ledgers: list[str],
    bridges: list[str] | None = None,
) -> Checks:
    lines, accounts = [], {}
    for one in bridges or []:
        line, _, account = one.rpartition("=")
        lines.append(line)
        accounts[line.split("+")[0]] = account
    keys = verifier_keys([*ledgers, *lines])
    try:
        return judge(data, issuers, verifier_keys(gateways), keys, accounts)
    except MALFORMED:
        return {"proof.format": "undecided"}


def verdict(checks: Checks) -> str:
    words = [word for result, word in VERDICTS.items() if result in checks.values()]
    return [*words, "VERIFIED"][0]


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        checks = verify(file.read(), *(argument.split(",") for argument in sys.argv[2:6]))
    print(json.dumps({"verdict": verdict(checks), "checks": checks}))
