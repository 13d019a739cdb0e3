"""A second verifier of proof files, written from docs/format.md alone; it shares no code with ours.

python independent_verifier.py FILE ISSUER-DID,... GATEWAY-LINE,... LEDGER-LINE,...
"""

# Dense on purpose: the whole of the page's verification, in less than 150 lines.
# fmt: off
# ruff: noqa: B905, E501, E701, E731, PT018, RUF007, PLC3002, RUF017, RUF018, RUF021
# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
from __future__ import annotations

import base64
import json
import sys
from hashlib import sha256

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

P, Y8 = 2**255 - 19, 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
kid = lambda key: sha256(key[1]).digest()[:8]  # a key is (alg, bytes)
structure = lambda protected, payload: cbor2.dumps(["Signature1", protected, b"", payload])
first_of = lambda **found: next((outcome for outcome, hit in found.items() if hit), "ok")
def plain(v):  # section 1
    if isinstance(v, cbor2.CBORTag): return v.tag == 18 and plain(v.value)
    inner = sum(map(list, v.items()), []) if hasattr(v, "items") else v
    return all(map(plain, inner)) if isinstance(inner, list | tuple) else v is None or type(v) in (int, bytes, str, bool)
def decode(raw):
    assert plain(v := cbor2.loads(raw, allow_duplicate_keys=False, allow_indefinite=False, max_depth=9)) and cbor2.dumps(v, canonical=True) == raw
    return v
def valid(key, signature, message):  # section 2
    try:
        if key[0] == -19: return ed25519.Ed25519PublicKey.from_public_bytes(key[1]).verify(signature, message) is None
        (r, s), point = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:])), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key[1])
        return point.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256())) is None and s <= 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 // 2
    except InvalidSignature: return False
def new_key(alg, raw):
    bad = alg == -19 and ((y := int.from_bytes(raw, "little") % 2**255) >= P or y in (0, 1, P - 1, Y8, P - Y8))
    assert (alg, len(raw), bad) in ((-9, 33, False), (-19, 32, False))
    return alg, raw
def from_did(did):
    digits = did.removeprefix("did:key:z")
    number = sum(BASE58.index(c) * 58**i for i, c in enumerate(reversed(digits)))
    assert len(digits) == len(did) - 9 <= 119 and digits[0] != "1"
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return new_key({b"\xed\x01": -19, b"\x80\x24": -9}[raw[:2]], raw[2:])
class Signed:  # section 3
    def __init__(self, raw, typ):
        protected, unprotected, payload, self.signature = decode(raw).value
        header = decode(protected)
        assert (unprotected, len(self.signature), set(header), header[16]) == ({}, 64, {1, 4, 16}, typ) and (header[1], len(header[4])) in ((-19, 8), (-9, 8))
        self.raw, self.head, self.payload, self.message = raw, (header[1], header[4]), decode(payload), structure(protected, payload)
        self.id = sha256(raw if typ == 65006 else self.message).digest()
    def by(self, key): return (key[0], kid(key)) == self.head and valid(key, self.signature, self.message)
class Block(Signed):  # section 8
    def __init__(self, raw):
        super().__init__(raw, 65006)
        self.parents, self.time, self.kind, self.body = self.payload
        self.ledger, _, previous, self.first, self.size, self.root = self.body if self.kind == 1 else (0, 0, self.parents[0], 0, 0, 0)
        assert self.parents[0] == previous
class Record(Signed):  # section 4
    def __init__(self, raw):
        super().__init__(raw, 65000)
        self.seq, self.prev, self.time, self.kind, *b = self.payload
        assert 0 <= self.seq < 2**40 and 0 <= self.time < 2**40 and len(self.prev) == 32 and self.kind in range(5)
        self.gone, self.named = range(b[1], b[2] + 1) if self.kind == 3 and b[0] in (1, 2) else (), b[7] if self.kind == 0 else b[0] if self.kind == 2 else None
        self.boot, self.width = (b[0], len(b) - 2) if self.kind == 1 else (None, len(b[5]) if self.kind == 0 else 0)
        self.new, self.possession = (new_key(b[0], b[1]), b[2]) if self.kind == 4 else (None, b"")
def root_of(leaf, index, size, path):  # RFC 9162, 2.1: the root that the path leads to, none if it does not fit
    if size == 1 or not path or len(path[-1]) != 32: return leaf if size == 1 and index == 0 and not path else b""
    left = 1 << (size - 1).bit_length() - 1
    below = root_of(leaf, index % left if index < left else index - left, left if index < left else size - left, path[:-1])
    return below and sha256(b"\1" + (below + path[-1] if index < left else path[-1] + below)).digest()
def include(entry, index, size, path, root): return 0 <= index < size and root_of(sha256(b"\0" + entry).digest(), index, size, path) == root
def note(raw):  # section 7
    text, _, tail = raw.decode().rpartition("\n\n")
    (origin, size, root), lines = text.split("\n"), [line.split(" ") for line in tail[:-1].split("\n")]
    values = [base64.b64decode(b64, validate=True) for b64 in (root, *(line[2] for line in lines))]
    assert [("\N{EM DASH}", line[1], base64.b64encode(v).decode()) for line, v in zip(lines, values[1:])] == list(map(tuple, lines))
    assert (tail[-1:], str(int(size)), len(values[0])) == ("\n", size, 32) and min(raw.decode().replace("\n", " ")) >= " "
    return origin, int(size), values[0], text.encode() + b"\n", [(line[1], v) for line, v in zip(lines, values[1:], strict=True)]
def confirmed(raw, kind):  # section 8
    block, position, path, by = decode(raw)
    assert ((c := Block(block)).kind, (m := Block(by)).kind) == (kind, 1)
    return c.body, position, m, m.first <= position and include(c.id, position, m.size, path, m.root)
def read(data):  # section 11
    magic, version, parts = decode(data)
    types, of = [t for t, _ in parts], {t: [raw for kind, raw in parts if kind == t] for t in range(1, 14)}
    assert (magic, version) == ("tally", 1) and types == sorted(types) and set(types) <= {*range(1, 14)} - {7}
    assert of[1] and len(of[4]) in (0, len(of[1])) and len(of[5] + of[6]) == 1 and all(len(of[t]) < 2 for t in (8, 11, 13))
    for t in (1, 2, 3, 10): of[t] = [Record(raw) for raw in of[t]]
    assert all([r.seq for r in of[t]] == sorted({r.seq for r in of[t]}) for t in (1, 2, 3))
    assert all(r.kind == 0 for r in of[2]) and all(r.new for r in of[3]) and [r.seq for r in of[10] + of[1]] == sorted({r.seq for r in of[10] + of[1]})
    of[4], of[6], of[8] = [decode(raw) for raw in of[4]], [confirmed(raw, 2) for raw in of[6]], [Signed(raw, 61) for raw in of[8]]
    of[5], of[11] = note(*(of[5] or [of[6][0][0]])), [Block(raw) for raw in of[11]]
    of[9], of[12] = [(Signed(c[0], 65007), *c[1:]) for c in (confirmed(raw, 3) for raw in of[9])], [sorted(map(Record, decode(raw)), key=lambda r: r.seq) for raw in of[12]]
    return of, of[8] and {1, 2, 5} <= set(of[8][0].payload) <= {1, 2, 4, 5, 8, -65537} and from_did(of[8][0].payload[2])
def standing(statements, device, issuer, anchor, say):  # section 9
    now, at, owner, last, when = "unknown", "unknown", None, None, 0
    for s, position, m, included in statements:
        if m.ledger != anchor[2].ledger: return "undecided"
        if not included or say(m) != "ok": return say(m) if included else "failed"
        (about, ledger, previous, kind, *args), who = s.payload, [issuer]
        if kind in (3, 5, 6, 7): who = [owner] + [issuer] * (kind != 3)
        if kind == 4: who = [from_did(last[1].decode())] if last and last[0] == 3 and m.time - when <= 30 * 86400 else []
        if kind == 8: who = [from_did((c := Signed(args[1], 61)).payload[2])]
        fit = kind != 8 or c.payload.get(-65537) == "inspector" and c.payload[5] <= m.time < c.payload.get(4, 2**64) and c.by(issuer)
        if not fit or now == "retired" or (kind == 0) != (last is None) or {2: "suspended", 6: "stolen"}.get(kind, now) != now: who = []
        if (about, ledger, previous) == (device, m.ledger, last and last[2]) and any(s.by(key) for key in who if key):
            owner = from_did((args[0] if kind == 0 else last[1]).decode()) if kind in (0, 4) else owner
            now, last, when = {0: "active", 1: "suspended", 2: "active", 5: "stolen", 6: "active", 7: "retired", 9: "retired"}.get(kind, now), (kind, args[0] if args else b"", s.id), m.time
        if position < anchor[1]: at = now
    return first_of(untrusted=at in ("suspended", "stolen", "retired"))
def verify(data: bytes, issuers: list[str], gateways: list[str], ledgers: list[str]) -> dict[str, str]:  # section 12
    try: of, first = read(data)
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, cbor2.CBORError): return {"proof.format": "undecided"}  # 1
    if not first: return {"device.credential": "undecided"}  # 2
    trusted = {v.split("+")[0]: (-19, base64.b64decode(v.split("+", 2)[2])[1:]) for v in (*gateways, *ledgers)}
    say = lambda m: (lambda key: first_of(untrusted=not key, failed=key and not m.by(key)))(trusted.get("tallystick-ledger/" + m.ledger.hex()))
    out, said, walk, anchor = {}, of[8][0].payload, of[10] + of[1], of[6][0] if of[6] else None
    late, issuer = anchor and not said[5] <= anchor[2].time < said.get(4, 2**64), said[1] in issuers and from_did(said[1])
    out["device.credential"] = first_of(failed=issuer and not of[8][0].by(issuer), untrusted=not issuer or late or -65537 in said)
    periods, cnf, everything = [(0, first)], said.get(8, {}).get(1), walk + of[2] + of[3] + sum(of[12], [])  # 3
    cnf = cnf and (new_key(-19, cnf[-2]) if cnf[1] == 1 else new_key(-9, (b"\3" if cnf[-3] else b"\2") + cnf[-2]))
    used = min((r.seq for r in everything if cnf and r.head[1] == kid(cnf)), default=2**40)
    for r in sorted({r.raw: r for r in of[3] + walk if r.new}.values(), key=lambda r: r.seq):
        if used <= r.seq and cnf not in [key for _, key in periods]: periods.append((used, cnf))
        word = structure(cbor2.dumps({1: r.new[0], 4: kid(r.new), 16: 65001}), cbor2.dumps([kid(first), r.seq, r.prev, r.time, *r.new]))
        if not (r.by(periods[-1][1]) and valid(r.new, r.possession, word)): out["device.key"] = "failed"
        periods.append((r.seq + 1, r.new))
    if cnf and cnf not in [key for _, key in periods]: periods.append((used, cnf))
    keys = {kid(key): key for _, key in periods}  # 4
    good = {r.raw for r in everything if r.head[1] in keys and r.by(keys[r.head[1]])}
    bad = [r.head[1] in keys for r in everything if r.raw not in good]
    out["record.signature"] = first_of(failed=any(bad), undecided=bad)
    opens = {r.seq: r.width for r in of[2] + walk if r.kind == 0}  # 5
    widths = [opens.get(r.boot) for r in of[1] if r.kind == 1 and opens.get(r.boot) != r.width]
    out["record.open"] = first_of(failed=any(widths), undecided=widths)
    pairs = [(a, b) for a, b in zip(walk, walk[1:]) if a.seq + 1 == b.seq]  # 6
    broken = [{a.raw, b.raw} <= good for a, b in pairs if b.prev != a.id]
    start = walk[0].seq != 0 or (walk[0].prev, walk[0].kind) == (sha256(b"tallystick/v1/genesis\n" + first[1]).digest(), 0)
    old = any(r.head[1] != kid([key for at, key in periods if at <= r.seq][-1]) for r in walk + of[2])
    out["chain.link"] = first_of(failed=not start or not all(broken) or any(a.new and b.kind for a, b in pairs), untrusted=broken or old)
    out["chain.gap"] = first_of(undecided=walk[-1].seq - walk[0].seq + 1 != len({r.seq for r in walk} | {seq for r in walk for seq in r.gone if seq >= walk[0].seq}) and not bad)
    for i, (a, b) in enumerate(of[12]):
        fork = a.head == b.head and (a.seq == b.seq and a.id != b.id or a.seq + 1 == b.seq and b.prev != a.id or a.new and a.seq < b.seq)
        hit = any(r.seq >= a.seq + (b.prev == a.id) and r.head == a.head for r in of[1])
        out[f"chain.fork {i}"] = first_of(undecided=not fork, untrusted=hit)
    (origin, size, root, text, signatures), key = of[5], trusted.get(of[5][0])  # 7
    proven = [include(r.raw, i, size, path, root) for r, (i, path) in zip(of[1], of[4])]
    out["log.inclusion"] = first_of(failed=not all(proven), undecided=not proven)
    own = [s[4:] for name, s in signatures if key and (name, s[:4]) == (origin, sha256(origin.encode() + b"\n\1" + key[1]).digest()[:4])]  # 8
    out["checkpoint.signature"] = first_of(untrusted=not key, failed=not own or not all(valid(key, s, text) for s in own))
    out["ledger.inclusion"] = first_of(pending=not anchor, failed=anchor and not anchor[3])  # 9
    out["ledger.milestone"] = say(anchor[2]) if anchor else "pending"
    out["device.status"] = standing(of[9], said[2], issuer, anchor, say) if anchor and of[9] else "skipped"  # 10
    for m in of[11]:  # 11
        linked = walk[-1].seq - walk[0].seq + 1 == len(walk) and out["chain.link"] == "ok" and walk[0].named == [m.ledger, m.id]
        late = say(m) == "failed" or anchor and out["ledger.milestone"] == say(m) == "ok" and m.time > anchor[2].time
        out["time.window"] = first_of(undecided=not linked or anchor and m.ledger != anchor[2].ledger, failed=late, untrusted=say(m) != "ok")
    return out
def verdict(checks: dict[str, str]) -> str:
    worst = zip(("failed", "undecided", "untrusted", "pending"), ("TAMPERED", "UNDECIDED", "UNTRUSTED", "PENDING"))
    return next((word for outcome, word in worst if outcome in checks.values()), "VERIFIED")
if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file: checks = verify(file.read(), *(argument.split(",") for argument in sys.argv[2:5]))
    print(json.dumps({"verdict": verdict(checks), "checks": checks}))
