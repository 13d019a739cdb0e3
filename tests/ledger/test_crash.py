"""Power cuts: whatever was answered is kept, no index has two milestones, the tree only grows."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path

import httpx
import pytest

from tallystick import block, cbor, merkle, milestone
from tallystick.note import VerifierKey
from tallystick.receipt import State
from tallystick_ledger.folder import Folder
from tallystick_ledger.node import Node
from tallystick_ledger.store import Store
from tests.ledger.site import Ledger, Submitter, anchor, gateway_key, until
from tests.parts import Broker

KILLS = 12
GATEWAYS = 3


def exported(url: str, size: int) -> list[bytes]:
    """The ids of the first `size` confirmed blocks, as the ledger gives them to anyone."""
    ids: list[bytes] = []
    while len(ids) < size:
        stream = httpx.get(f"{url}/v1/export", params={"from": len(ids)}).content
        # a CBOR sequence of byte strings is the inside of an array
        found = split(stream)
        assert found
        ids += [block.block_id(raw) for raw in found]
    return ids[:size]


def split(sequence: bytes) -> list[bytes]:
    """The byte strings of a CBOR sequence; each is a block, 256 to 65535 bytes long."""
    found = []
    while sequence:
        length = {0x58: 1, 0x59: 2}[sequence[0]]
        end = 1 + length + int.from_bytes(sequence[1 : 1 + length], "big")
        one = cbor.decode(sequence[:end])
        assert isinstance(one, bytes)
        found.append(one)
        sequence = sequence[end:]
    return found


@pytest.mark.timeout(120)
def test_killed_under_load(tmp_path: Path, broker: Broker) -> None:
    """A gateway box that loses power in the field must come back with all it has answered for, and
    must never have told two stories.
    """
    source = random.Random(20_260_101)
    ledger = Ledger(tmp_path / "site", broker.port, interval_s=0.05)
    submitted: list[bytes] = []
    size = 0
    ledger.start()
    try:
        with Submitter(broker.port, ledger.id) as one:
            one.tips()
            for round_ in range(1, KILLS + 1):
                ledger.wait_connected(round_)
                deadline = time.monotonic() + source.uniform(0.02, 0.5)
                while time.monotonic() < deadline:
                    size += 1
                    gateway = gateway_key(1 + source.randrange(GATEWAYS))
                    submitted.append(one.submit(anchor(one.parents(source), size, gateway)))
                    time.sleep(source.uniform(0, 0.01))
                ledger.kill()
                checked = ledger.command("fsck")
                assert 0 == checked.returncode, checked.stdout
                ledger.start()
            # nobody sends again: what the broker took at QoS 1 arrives by itself
            for name in submitted:
                proof = one.answer(name, State.CONFIRMED).confirmed
                assert proof is not None
                proof.verify_inclusion()
            published = [milestone.parse(raw) for raw in one.milestones]
            answered = set(one.receipts)
        assert set(submitted) <= answered
        key = VerifierKey.parse(ledger.name).key
        ids_by_index: dict[int, set[bytes]] = {}
        for made in published:
            made.verify(key)
            ids_by_index.setdefault(made.index, set()).add(made.id)
        assert {1} == {len(ids) for ids in ids_by_index.values()}
        last = max(published, key=lambda made: made.index)
        leaves = [merkle.leaf_hash(name) for name in exported(ledger.url(), last.size)]
        history = sorted({made.index: made for made in published}.values(), key=lambda m: m.index)
        for before, after in itertools.pairwise(history):
            assert before.size < after.size
            assert before.time <= after.time
            path = merkle.consistency_path(leaves[: after.size], before.size)
            merkle.verify_consistency(before.size, before.root, after.size, after.root, path)
        assert len(submitted) > 10 * KILLS
        assert len(history) > KILLS
    finally:
        ledger.kill()
    checked = ledger.command("fsck")
    assert 0 == checked.returncode, checked.stdout


def test_killed_between_commit_and_publication(tmp_path: Path, broker: Broker) -> None:
    """A milestone that was committed and never seen must be published at the next start, with the
    receipts that wait for it.
    """
    ledger = Ledger(tmp_path / "site", broker.port, interval_s=600)
    folder = Folder(ledger.folder)
    with Store.writing(folder.database) as store:
        node = Node(store, folder.key(), lambda: int(time.time()))
        raw = anchor(node.tips())
        node.submit([raw])
        made = node.tick()[-1]
    with Submitter(broker.port, ledger.id) as one:
        try:
            ledger.start()
            receipt = one.answer(block.block_id(raw), State.CONFIRMED)
            assert receipt.confirmed is not None
            assert made.id == receipt.confirmed.milestone.id
            topic = ledger.topics.anchor(gateway_key().public.kid)
            until(lambda: topic in one.retained, "the anchor")
            first = until(lambda: one.milestones, "a milestone")[0]
            assert made.id == milestone.parse(first).id
        finally:
            ledger.kill()


def test_block_is_kept_before_the_broker_forgets_it(tmp_path: Path, broker: Broker) -> None:
    """An acknowledgement before the commit would lose the block with the power: here the ledger
    dies as soon as it is there, and the block arrives all the same.
    """
    ledger = Ledger(tmp_path / "site", broker.port, interval_s=0.1)
    ledger.start()
    try:
        with Submitter(broker.port, ledger.id) as one:
            parents = one.tips()[:1]
            ledger.kill()
            names = [one.submit(anchor(parents, size)) for size in range(1, 21)]
            for delay_ms in (300, 350, 400, 450, 500):
                ledger.start()
                time.sleep(delay_ms / 1000)
                ledger.kill()
            ledger.start()
            for name in names:
                one.answer(name, State.CONFIRMED)
    finally:
        ledger.kill()
