"""Whatever bytes it is given, the library raises nothing but its own errors."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import cose_receipt, embedded, merkle, policy, receipt, scitt, tlog_proof, verify
from tallystick.chain import Chain
from tallystick.errors import TallystickError
from tests.tallystick.test_chain import Store
from tests.world import World, key, small
from tools.vectors import PARSERS

FOLDER = Path(__file__).resolve().parent.parent / "vectors"
# texts: not every string of bytes is one
BINARY = {name: parse for name, parse in PARSERS.items() if name not in ("did", "vkey")}
BINARY["receipt"] = receipt.parse
BINARY["policy"] = policy.parse
BINARY["COSE receipt"] = cose_receipt.parse
BINARY["tlog-proof"] = tlog_proof.parse
BINARY["report"] = embedded.proof_in
BINARY["SCITT statement"] = lambda raw: scitt.verify(
    raw, key("gateway").public, key("device").public
)


def good() -> list[tuple[str, bytes]]:
    """One valid object or more of each kind."""
    found = []
    for name in ("record", "message", "ledger", "statement", "credential", "proof"):
        for case in json.loads((FOLDER / f"{name}.json").read_text())["cases"]:
            if "bytes" in case:
                kind = name if name in ("record", "proof") else case["kind"]
                found.append((kind, bytes.fromhex(case["bytes"])))
    trees = json.loads((FOLDER / "log.json").read_text())["cases"][1:]
    found.extend(("checkpoint", case["checkpoint"].encode()) for case in trees)
    return found


GOOD = good()


@pytest.mark.parametrize("kind", BINARY)
@settings(max_examples=60, deadline=None)
@given(raw=st.binary(max_size=120))
def test_random_bytes(kind: str, raw: bytes) -> None:
    """A stranger's bytes could stop a gateway, or a verifier."""
    with contextlib.suppress(TallystickError):
        BINARY[kind](raw)


def exports() -> dict[str, bytes]:
    """One valid object of each kind that leaves for other tools."""
    world, _ = small()
    raw = world.device.records[1].raw
    index, path = world.log.inclusion(raw)
    log = world.log
    root, size = merkle.root(log.leaves()), len(log.entries)
    return {
        "COSE receipt": cose_receipt.sign(
            log.signer, log.origin, index, size, path, root, entry=raw
        ),
        "tlog-proof": tlog_proof.text(raw, index, path, log.checkpoint()),
        "SCITT statement": scitt.sign(log.signer, world.device.first, world.device.records[1]),
    }


@pytest.mark.parametrize("kind", ["COSE receipt", "tlog-proof", "SCITT statement"])
def test_mutations_of_exports(kind: str) -> None:
    """What another program wrote could end in a traceback."""
    raw = exports()[kind]
    BINARY[kind](raw)
    for at in range(len(raw)):
        for changed in (
            raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :],
            raw[:at] + raw[at + 1 :],
            raw[:at],
        ):
            with contextlib.suppress(TallystickError):
                BINARY[kind](changed)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["", "did:key:z", "a+00000000+"]))
def test_random_text(text: str, start: str) -> None:
    """A mistyped name would end in a traceback."""
    for kind in ("did", "vkey"):
        with contextlib.suppress(TallystickError):
            PARSERS[kind]((start + text).encode())


@pytest.mark.parametrize("seed", range(4))
def test_mutations_of_valid_objects(seed: int) -> None:
    """One changed byte could stop a gateway, or a verifier."""
    chance = random.Random(seed)
    for kind, raw in GOOD:
        PARSERS[kind](raw)
        for _ in range(12):
            changed = bytearray(raw)
            for _ in range(chance.choice((1, 1, 1, 3))):
                at = chance.randrange(len(changed))
                match chance.randrange(4):
                    case 0:
                        changed[at] = chance.randrange(256)
                    case 1:
                        del changed[at]
                    case 2:
                        changed.insert(at, chance.randrange(256))
                    case _:
                        changed[at] ^= 1 << chance.randrange(8)
                if not changed:
                    break
            with contextlib.suppress(TallystickError):
                PARSERS[kind](bytes(changed))


@pytest.mark.parametrize("seed", range(3))
def test_verify_never_raises(seed: int) -> None:
    """A proof file of a stranger's could crash the verifier instead of getting a verdict."""
    world, data = small()
    chance = random.Random(seed)
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        verdict = verify.verify(bytes(changed), world.policy)
        assert bytes(changed) == data or verdict.exit_status


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_chain_states(raw: bytes) -> None:
    """A damaged database would end in a traceback."""
    with contextlib.suppress(TallystickError):
        Chain.load(raw, Store())


def test_mutated_chain_states() -> None:
    """The same, for one byte."""
    world = World()
    chain = Chain(world.device.first)
    for _ in range(3):
        chain.admit(world.device.open())
    state, chance = chain.dump(), random.Random(1)
    for at in range(len(state)):
        changed = bytearray(state)
        changed[at] ^= 1 << chance.randrange(8)
        with contextlib.suppress(TallystickError):
            Chain.load(bytes(changed), Store())
