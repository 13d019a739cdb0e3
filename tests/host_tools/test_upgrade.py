"""`tally upgrade`: what was PENDING becomes VERIFIED when the anchor has come, and nothing becomes worse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick import cbor, cosignature, note, proof
from tallystick.checkpoint import sign as sign_checkpoint
from tallystick.cosignature import WitnessKey
from tests.host_tools.conftest import Tally
from tests.host_tools.test_prove import Web
from tests.world import START, World, key


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.close()


@pytest.fixture
def policy(tally: Tally, world: World) -> Path:
    return tally.write("policy.toml", world.policy_text())


def _pending(world: World) -> tuple[bytes, bytes]:
    """A proof without its anchor, and the one with it."""
    full = world.proof(1, 2)
    parsed = proof.parse(full)
    assert parsed.checkpoint is not None
    parts: dict[str, Any] = {
        **world.parts(world.device.records[1:3]),
        "anchor": None,
        "checkpoint": parsed.checkpoint.raw,
    }
    return proof.build(**parts), full


def _serve_blocks(web: Web, world: World) -> None:
    """The ledger's blocks, two answers and the end."""
    blocks = [world.ledger.blocks[id].raw for id in world.ledger.order]
    web.answers["/v1/export@0"] = (200, b"".join(map(cbor.encode, blocks)))
    web.answers[f"/v1/export@{len(blocks)}"] = (200, b"")
    for id in world.ledger.order[1:]:
        answer = world.ledger.confirmed(id).encode()
        web.answers[f"/v1/blocks/{id.hex()}/confirmed"] = (200, answer)


def test_by_the_gateway(tally: Tally, world: World, web: Web, policy: Path) -> None:
    """Broken: a proof that was fetched too early is of no use later."""
    pending, full = _pending(world)
    tally.write("a.tally", pending)
    web.answers[f"/v1/devices/{world.device.id.hex()}/proof"] = (200, full)
    ran = tally("upgrade", "a.tally", "--gateway", web.url, "--policy", policy)
    assert (0, "a.tally: PENDING -> VERIFIED\n") == (ran.status, ran.out)
    assert [{"from": ["1"], "to": ["2"]}] == [query for _, query in web.asked]
    assert 0 == tally("verify", "-q", "a.tally", "--policy", policy).status
    again = tally("upgrade", "a.tally", "--gateway", web.url, "--policy", policy)
    assert (0, "a.tally: VERIFIED -> VERIFIED\n") == (again.status, again.out)
    assert 1 == len(web.asked)


def test_by_the_ledger_alone(tally: Tally, world: World, web: Web, policy: Path) -> None:
    """Broken: with a gateway that is gone, a proof stays PENDING for ever."""
    pending, _ = _pending(world)
    path = tally.write("a.tally", pending)
    _serve_blocks(web, world)
    ran = tally("upgrade", "a.tally", "--ledger", web.url, "--policy", policy)
    assert (0, "a.tally: PENDING -> VERIFIED\n") == (ran.status, ran.out)
    old, new = proof.parse(pending), proof.parse(path.read_bytes())
    assert [one.raw for one in old.records] == [one.raw for one in new.records]
    assert new.anchor is not None


def test_the_cosigned_checkpoint_comes_along(tally: Tally, world: World, web: Web) -> None:
    """Broken: a policy with witnesses can never be met by a proof that was made before they signed."""
    _, full = _pending(world)
    parsed = proof.parse(full)
    assert parsed.anchor is not None
    stone = parsed.anchor.milestone
    witness = str(WitnessKey("w.example", key("witness").public))
    text = world.policy_text() + f'[[witnesses]]\nvkey = "{witness}"\n[require]\nwitnesses = 1\n'
    policy = tally.write("policy.toml", text)
    tally.write("a.tally", full)
    assert 5 == tally("verify", "-q", "a.tally", "--policy", policy).status
    raw = sign_checkpoint(world.ledger.signer, world.ledger.name, stone.size, stone.root)
    raw = cosignature.sign(key("witness"), "w.example", note.parse(raw), START)
    answer = cbor.encode([raw, []])
    web.answers[f"/v1/blocks/{parsed.anchor.block.id.hex()}/cosigned"] = (200, answer)
    ran = tally("upgrade", "a.tally", "--ledger", web.url, "--policy", policy)
    assert (0, "a.tally: UNDECIDED -> VERIFIED\n") == (ran.status, ran.out)


def test_not_yet(tally: Tally, world: World, web: Web, policy: Path) -> None:
    """Broken: "not yet" is a failure, or costs the file."""
    pending, _ = _pending(world)
    path = tally.write("a.tally", pending)
    web.answers[f"/v1/devices/{world.device.id.hex()}/proof"] = (200, pending)
    web.answers["/v1/export"] = (200, b"")
    for where in ("--gateway", "--ledger"):
        ran = tally("upgrade", "a.tally", where, web.url, "--policy", policy)
        assert (3, "") == (ran.status, ran.out)
        assert "error: a.tally: no ledger confirms it yet (upgrade.pending)\n" in ran.err
        assert pending == path.read_bytes()


def test_nothing_becomes_worse(tally: Tally, world: World, web: Web, policy: Path) -> None:
    """Broken: a gateway that lies, or another one, spoils a good file."""
    pending, full = _pending(world)
    path = tally.write("a.tally", pending)
    forged = bytearray(full)
    raw = proof.parse(full).opens[0].raw
    at = full.index(raw) + len(raw) - 1
    forged[at] ^= 1
    clone = world.device.clone()
    clone.seq, clone.prev = 1, world.device.records[0].id
    other = [clone.readings([1]), clone.readings([2])]
    for one in other:
        world.log.add(one.raw)
    posted = world.anchor()
    world.ledger.milestone(world.device.time + 900)
    cloned = world.prove(other, **world.parts(other, anchor=posted))
    for answer, code in (
        (bytes(forged), "upgrade.worse"),
        (cloned, "upgrade.records"),
        (b"x", "cbor."),
    ):
        web.answers[f"/v1/devices/{world.device.id.hex()}/proof"] = (200, answer)
        ran = tally("upgrade", "a.tally", "--gateway", web.url, "--policy", policy)
        assert (5, "") == (ran.status, ran.out)
        assert code in ran.err
        assert pending == path.read_bytes()


def test_one_bad_file_does_not_stop_the_others(
    tally: Tally, world: World, web: Web, policy: Path
) -> None:
    """Broken: a folder of proofs is upgraded up to the first that cannot be."""
    pending, full = _pending(world)
    web.answers[f"/v1/devices/{world.device.id.hex()}/proof"] = (200, full)
    for name, data in (("a", b"no"), ("b", pending)):
        tally.write(name, data)
    ran = tally("upgrade", "a", "gone", "b", "--gateway", web.url, "--policy", policy)
    assert (5, "b: PENDING -> VERIFIED\n") == (ran.status, ran.out)
    assert 2 == ran.err.count("error: ")
    assert 2 == tally("upgrade", "b", "--policy", policy).status


def test_all_since_the_last_proof(tally: Tally, world: World, web: Web) -> None:
    """Broken: whoever archives proofs every night has to remember seqs."""
    id = world.device.id.hex()
    tally.write("last.tally", world.proof(0, 1))
    web.answers[f"/v1/devices/{id}/proof@2"] = (200, world.proof(2))
    ran = tally("prove", id, "--since", "last.tally", "--gateway", web.url)
    assert (0, f"{id}-2.tally\n") == (ran.status, ran.out)
    assert [{"from": ["2"], "to": [str(2**40 - 1)]}] == [query for _, query in web.asked]
    assert 2 == tally("prove", id, "1", "--since", "last.tally", "--gateway", web.url).status
    assert 2 == tally("prove", "0" * 16, "--since", "last.tally", "--gateway", web.url).status
    assert 2 == tally("prove", id, "--gateway", web.url).status


def test_a_range_of_times(tally: Tally, world: World, web: Web) -> None:
    """Broken: "what happened between two and three" has to be looked up as seqs first."""
    id = world.device.id.hex()
    web.answers[f"/v1/devices/{id}/proof"] = (200, world.proof(1, 2))
    times = "2027-01-15T08:00:00Z..2027-01-15T09:00:00+00:00"
    assert 0 == tally("prove", id, times, "--gateway", web.url).status
    assert [{"since": [str(START)], "until": [str(START + 3600)]}] == [q for _, q in web.asked]
    wrong = "2027-01-15T09:00:00Z..2027-01-15T08:00:00Z"
    assert 2 == tally("prove", id, wrong, "--gateway", web.url).status
