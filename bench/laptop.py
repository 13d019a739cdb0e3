"""The engineer's side: how large a proof is, and how long the verdict takes.

The world is an in-memory simulator of a device, a log and a ledger; the proof is a real one.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import laptop_speed
from bench.figure import Figure
from bench.gateway_rules import chain_of
from tallystick import block, checkpoint, credential, did, merkle, milestone, proof, record
from tallystick.block import BlockKind
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey

LOG_SIZE = 2**20
LEDGER_SIZE = 10**6
PROOF_BAR = 3 * 1024
START_BAR = 2.5
ROUNDS = 9
NOW = 1_795_242_134


class _Tree:
    """A tree of `size` leaves, only one of which exists; the siblings on its path are random."""

    def __init__(self, leaf: bytes, index: int, size: int, seed: int) -> None:
        draw = random.Random(seed)
        self.path: list[bytes] = []
        fn, sn, value = index, size - 1, leaf
        while sn:
            if fn & 1 or fn == sn:
                sibling = draw.randbytes(32)
                self.path.append(sibling)
                value = merkle.node_hash(sibling, value)
                while fn and not fn & 1:
                    fn, sn = fn >> 1, sn >> 1
            else:
                sibling = draw.randbytes(32)
                self.path.append(sibling)
                value = merkle.node_hash(value, sibling)
            fn, sn = fn >> 1, sn >> 1
        self.root = value


def one_reading() -> tuple[bytes, str]:
    """A proof of one reading in a log of 2^20 and a ledger of 10^6, and the policy that trusts it."""
    device, gateway, ledger, issuer = (PrivateKey.from_seed(bytes([n]) * 32) for n in range(4))
    raws = chain_of(device, 2, 1)
    log = _Tree(merkle.leaf_hash(raws[1]), LOG_SIZE // 3, LOG_SIZE, 1)
    origin = checkpoint.gateway_name(gateway.public)
    note = checkpoint.sign(gateway, origin, LOG_SIZE, log.root)
    parents = [random.Random(n).randbytes(32) for n in range(2, 6)]
    anchor = block.sign(gateway, parents, NOW, BlockKind.ANCHOR, note)
    tree = _Tree(merkle.leaf_hash(block.block_id(anchor)), LEDGER_SIZE // 3, LEDGER_SIZE, 6)
    ledger_id = block.ledger_id(block.sign_genesis(ledger, NOW, "bench"))
    first = LEDGER_SIZE // 3 - 100
    stone = milestone.sign(
        ledger, ledger_id, 9_999, parents, NOW + 10, first, LEDGER_SIZE, tree.root
    )
    confirmed = milestone.Confirmed(
        block.parse(anchor), LEDGER_SIZE // 3, tuple(tree.path), milestone.parse(stone)
    )
    issued = credential.sign(
        issuer,
        did.did_key(issuer.public),
        did.did_key(device.public),
        NOW - 1000,
        expires=NOW + 10**8,
    )
    data = proof.build(
        records=[raws[1]],
        opens=[raws[0]],
        inclusions=[(LOG_SIZE // 3, log.path)],
        anchor=confirmed.encode(),
        credential=issued,
    )
    names = ((origin, gateway), (checkpoint.ledger_name(ledger_id), ledger))
    vkeys = [str(VerifierKey(name, key.public)) for name, key in names]
    policy = (
        f'version = 1\n[[issuers]]\ndid = "{did.did_key(issuer.public)}"\n'
        f'[[gateways]]\nvkey = "{vkeys[0]}"\n[[ledgers]]\nvkey = "{vkeys[1]}"\n'
    )
    record.parse(raws[1])
    return data, policy


def _best_s(argv: list[str]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True, env=laptop_speed.environment())
        times.append(time.perf_counter() - started)
    return min(times)


def figures() -> list[Figure]:
    """Size of the proof of one reading, and the time of `tally verify` on it."""
    data, policy = one_reading()
    imports = "import cryptography.hazmat.primitives.asymmetric.ed25519, cbor2"
    with tempfile.TemporaryDirectory() as folder:
        file, trusted = Path(folder) / "one.tally", Path(folder) / "policy.toml"
        file.write_bytes(data)
        trusted.write_text(policy)
        tally = str(Path(sys.executable).with_name("tally"))
        verify_s = _best_s([tally, "verify", "-q", "--policy", str(trusted), str(file)])
        import_s = _best_s([sys.executable, "-c", imports])
    return [
        Figure.at_most("proof of one reading, log of 2^20", len(data), "bytes", PROOF_BAR),
        Figure.at_most(
            "tally verify, whole process",
            round(verify_s / import_s, 2),
            "x bare imports",
            START_BAR,
        ),
        *laptop_speed.figures(),
    ]
