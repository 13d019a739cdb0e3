"""docs/verifier.py, the example that the specification is read beside: short, alone, and right.

If this fails, somebody who follows the page with the example in hand comes to another verdict.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo import forge
from tallystick import proof, verify
from tests.world import World
from tools.parts import ROOT

EXAMPLE = ROOT / "docs" / "verifier.py"
ALLOWED = {"__future__", "sys", "base64", "hashlib", "typing", "cbor2", "cryptography"}
LINES = 150


def world_and_proof(**changes: Any) -> tuple[World, bytes]:
    """A device, and the proof of its five records."""
    world = World()
    world.device.open()
    for value in (215, 216, 214, 213):
        world.device.readings([value])
    world.publish()
    return world, world.prove(list(world.device.records), **changes)


def left_out(data: bytes) -> bytes:
    """The proof without its third record."""
    return forge.rebuilt(proof.parse(data), without=2)


def said(tmp_path: Path, data: bytes, world: World) -> str:
    """The example's word, run as the page says."""
    file = tmp_path / "x.tally"
    file.write_bytes(data)
    trust = (world.issuer_did, str(world.log.vkey), str(world.ledger.vkey))
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(file), *trust],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[0]


@pytest.mark.parametrize("case", ["honest", "left out", "flipped", "stranger", "pending"])
def test_it_agrees_with_the_library(tmp_path: Path, case: str) -> None:
    """Each verdict that the example knows is the library's."""
    world, data = world_and_proof()
    policy = world.policy
    if case == "left out":
        data = left_out(data)
    if case == "flipped":
        data = forge.rebuilt(proof.parse(world.prove([world.device.records[-1]])), flip=True)
    if case == "pending":
        world.device.readings([212])
        world.admit()
        data = proof.build(**world.pending([world.device.records[-1]]))
    wanted = verify.verify(data, policy).status.value
    if case == "stranger":
        other = World(world.device.signer)
        other.issuer = other.log.signer
        wanted = "UNTRUSTED"
        assert wanted == said(tmp_path, data, other)
        return
    assert wanted == said(tmp_path, data, world)
    verdicts = {"honest": "VERIFIED", "left out": "UNDECIDED", "flipped": "TAMPERED"}
    assert verdicts.get(case, "PENDING") == wanted


def test_it_is_short_and_stands_alone() -> None:
    """Under 150 lines, the named libraries, and the page's steps in order."""
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) < LINES
    assert max(map(len, text.splitlines())) <= 100
    tree = ast.parse(text)
    found = {
        node.module.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
    }
    found |= {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert found <= ALLOWED
    steps = [
        line.split("# ")[1].split(".")[0] for line in text.splitlines() if line.startswith("    # ")
    ]
    assert steps == [str(n) for n in range(1, 11)]
