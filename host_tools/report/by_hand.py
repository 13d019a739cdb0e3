"""How to repeat the checks by hand, with what stands on every Linux: bash, sha256sum, base64, openssl.

The commands cut the proof into its bytes and say what each must print (`# -> ...`). Keys are those of the policy, in
hexadecimal: whoever repeats the check compares them with what they know.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from tallystick import cbor
from tallystick.body import Readings
from tallystick.cose import Signed
from tallystick.keys import ED25519, PublicKey
from tallystick.policy import Policy
from tallystick.proof import Proof
from tallystick_host.forks import device_keys
from tallystick_host.report import ladder
from tallystick_host.report.ladder import Ladder

__all__ = ["script"]

_SPKI: Final = (
    "302a300506032b6570032100"  # RFC 8410: what stands before the 32 bytes of an Ed25519 key
)
_SPKI_P256: Final = "3039301306072a8648ce3d020106082a8648ce3d030107032200"  # RFC 5480, compressed
_TOOLS: Final = r"""
part() { tail -c "+$(( $1 + 1 ))" proof.tally | head -c "$2"; }   # bytes of the proof: from, how many
bytes() { printf "$(printf %s "$1" | sed 's/../\\x&/g')"; }       # hexadecimal to bytes
hash() { sha256sum | cut -c1-64; }
key() { bytes "$1" | openssl pkey -pubin -inform DER -out "$2"; }
good() { openssl pkeyutl -verify -pubin -inkey "$1" -rawin -in "$2" -sigfile "$3"; }
climb() { for step; do case $step in                              # RFC 9162: node = SHA-256(01, left, right)
  L*) h=$({ printf '\x01'; bytes "${step#L}"; bytes "$h"; } | hash);;
  R*) h=$({ printf '\x01'; bytes "$h"; bytes "${step#R}"; } | hash);; esac; done; }
""".strip()
_VERIFIED: Final = "# -> Signature Verified Successfully"


def script(data: bytes, proof: Proof, policy: Policy, report: str) -> str:
    """The commands for one record of the proof file `data`, embedded in the file called `report`."""
    number = next((i for i, r in enumerate(proof.records) if isinstance(r.body, Readings)), 0)
    return "\n".join(_lines(data, proof, policy, report, number)) + "\n"


def _lines(data: bytes, proof: Proof, policy: Policy, report: str, number: int) -> Iterator[str]:
    from hashlib import sha256

    yield _TOOLS
    yield ""
    yield "# 1. the proof in this report"
    quoted = shlex.quote(report)
    yield f"sed -n '/ id=\"proof\">$/,/^<\\/script>/p' {quoted} | sed '1d;$d' | base64 -d > proof.tally"
    yield "sha256sum proof.tally"
    yield f"# -> {sha256(data).hexdigest()}"
    yield from _record(data, proof, number)
    yield from _log(data, proof, policy, number)
    yield from _ledger(data, proof, policy)


def _record(data: bytes, proof: Proof, number: int) -> Iterator[str]:
    one = proof.records[number]
    key = device_keys(proof).get(one.signed.kid)
    yield ""
    yield f"# 2. record {one.seq}: signed by the device ({one.signed.kid.hex()}), and its id"
    yield from _signed(data, one.signed, "record")
    if key is None:
        yield "# no key in the proof has signed it"
    else:
        yield from _verified(key, one.signed.signature, "record", "device")
    yield "sha256sum < record.signed"
    yield f"# -> {one.id.hex()}"


def _log(data: bytes, proof: Proof, policy: Policy, number: int) -> Iterator[str]:
    checkpoint = proof.checkpoint
    way = ladder.of_record(proof, number)
    if checkpoint is None or way is None:
        return
    note_at = data.index(checkpoint.raw)
    yield ""
    yield f"# 3. record {proof.records[number].seq} is leaf {way.index} of {way.size} in the gateway's log"
    yield f"h=$({{ printf '\\x00'; {_part(data, proof.records[number].raw)}; }} | hash)"
    yield _climb(way)
    yield 'bytes "$h" | base64'
    yield f"# -> {base64.b64encode(checkpoint.root).decode()}"
    gateway = policy.gateway(checkpoint.origin)
    if gateway is None:
        yield "# the policy knows no key of this gateway"
        return
    # its name is one that the policy knows: safe to show on a terminal
    text = checkpoint.note.text.encode()
    yield f"part {note_at} {len(text)} | tee checkpoint.signed"
    yield from (f"# -> {line}" for line in checkpoint.note.text.splitlines())
    line = next(
        (
            one
            for one in checkpoint.note.signatures
            if (one.name, one.key_id) == (gateway.vkey.name, gateway.vkey.id)
        ),
        None,
    )
    if line is None:
        yield "# and the gateway has not signed it"
        return
    encoded = base64.b64encode(line.key_id + line.signature)
    yield f"{_part(data, encoded)} | base64 -d | tail -c 64 > checkpoint.sig"
    yield f"key {_SPKI}{gateway.vkey.key.raw.hex()} gateway.pem"
    yield "good gateway.pem checkpoint.signed checkpoint.sig"
    yield _VERIFIED


def _ledger(data: bytes, proof: Proof, policy: Policy) -> Iterator[str]:
    anchor = proof.anchor
    if anchor is None:
        return
    stone = anchor.milestone
    way = ladder.of_anchor(anchor)
    yield ""
    yield f"# 4. the anchor that holds this checkpoint is block {way.index} of {way.size} in the ledger"
    yield f"id=$({_part(data, anchor.block.raw)} | hash)"
    yield "h=$({ printf '\\x00'; bytes \"$id\"; } | hash)"
    yield _climb(way)
    yield 'echo "$h"'
    yield f"# -> {stone.root.hex()}"
    yield f"# 5. milestone {stone.index}, which holds that root, is signed by the ledger"
    yield from _signed(data, stone.block.signed, "milestone")
    yield "od -An -v -tx1 milestone.signed | tr -d ' \\n' | grep -o \"$h\""
    yield f"# -> {stone.root.hex()}"
    ledger = policy.ledger(stone.ledger)
    if ledger is None:
        yield "# the policy knows no key of this ledger"
    else:
        yield from _verified(ledger.vkey.key, stone.block.signed.signature, "milestone", "ledger")


def _signed(data: bytes, signed: Signed, name: str) -> Iterator[str]:
    """The Sig_structure of RFC 9052, 4.4, put together from the bytes of the file; and the signature."""
    start = data.index(signed.raw)
    head = cbor.byte_string(signed.protected)[: -len(signed.protected)]
    body = cbor.byte_string(signed.payload)[: -len(signed.payload)]
    protected_at = start + signed.raw.index(signed.protected)
    payload_at = start + signed.raw.index(signed.payload)
    yield (
        f"{{ printf '\\x84\\x6aSignature1'; bytes {head.hex()}; part {protected_at} {len(signed.protected)}; "
        f"printf '\\x40'; bytes {body.hex()}; part {payload_at} {len(signed.payload)}; }} > {name}.signed"
    )
    signature_at = start + len(signed.raw) - len(signed.signature)
    yield f"part {signature_at} {len(signed.signature)} > {name}.sig"


def _verified(key: PublicKey, signature: bytes, name: str, who: str) -> Iterator[str]:
    if key.alg == ED25519:
        yield f"key {_SPKI}{key.raw.hex()} {who}.pem"
        yield f"good {who}.pem {name}.signed {name}.sig"
        yield _VERIFIED
        return
    yield f"key {_SPKI_P256}{key.raw.hex()} {who}.pem"
    yield f"bytes {_der(signature).hex()} > {name}.sig   # the same r and s as DER"
    yield f"openssl dgst -sha256 -verify {who}.pem -signature {name}.sig {name}.signed"
    yield "# -> Verified OK"


def _der(signature: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    r, s = signature[:32], signature[32:]
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


def _part(data: bytes, piece: bytes) -> str:
    return f"part {data.index(piece)} {len(piece)}"


def _climb(way: Ladder) -> str:
    if not way.steps:
        return "# a tree of one leaf: its hash is the root"
    named = [f"{'L' if one.left else 'R'}{one.sibling.hex()}" for one in way.steps]
    return "climb " + " \\\n  ".join(" ".join(pair) for pair in _batched(named, 2))


def _batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Runs of `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
