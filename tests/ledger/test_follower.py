"""A second node: it re-derives everything, and raises the alarm when the ledger contradicts itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tallystick import block, cbor, checkpoint, milestone
from tallystick.cose import Signer
from tallystick.milestone import Milestone
from tallystick.note import VerifierKey
from tallystick.receipt import State
from tallystick_ledger.folder import Folder
from tallystick_ledger.follower import Follower
from tallystick_ledger.fsck import check
from tallystick_ledger.node import Node
from tallystick_ledger.store import Store
from tests.ledger.conftest import START
from tests.ledger.site import Following, Ledger, Submitter, anchor, gateway_key, until
from tests.ledger.test_node import attach
from tests.parts import Broker

STRANGER = gateway_key(99)


@pytest.fixture
def copy(folder: Folder, tmp_path: Path) -> Folder:
    """The folder of one who follows `folder`, as far as its genesis block."""
    made = Folder(tmp_path / "copy")
    with Store.writing(folder.database) as store:
        ((_, genesis, _),) = store.pending()
    made.adopt(genesis, folder.identity())
    return made


@pytest.fixture
def follower(copy: Folder) -> Iterator[Follower]:
    """The only writer of the copy."""
    with Store.writing(copy.database) as store:
        yield Follower(store)


def grow(node: Node, rounds: int, source: random.Random) -> list[bytes]:
    """Some rounds with a few anchors each; all bytes that were published, in order."""
    said: list[bytes] = []
    size = 0
    for _ in range(rounds):
        for _ in range(source.randrange(6)):
            size += 1
            tips = node.tips()
            raw = anchor(source.sample(tips, min(len(tips), 2)), size, gateway_key(1))
            attach(node, raw)
            said.append(raw)
        said += [one.block.raw for one in node.tick()]
    return said


def forged(
    key: Signer, node: Node, index: int, previous: bytes, first: int, size: int, root: bytes
) -> bytes:
    """A milestone as an operator could sign it beside his own node."""
    return milestone.sign(key, node.id, index, [previous], START, first, size, root)


def same(node: Node, follower: Follower) -> None:
    """Both have the same blocks at the same positions."""
    assert node.head == follower.head
    size = node.head.size
    assert list(node.store.export(0, size)) == list(follower.store.export(0, size))


@pytest.mark.parametrize("seed", range(5))
def test_both_agree_whatever_the_order_of_arrival(
    node: Node, follower: Follower, copy: Folder, seed: int
) -> None:
    """Two nodes that come to different positions would tell two stories of who was first."""
    source = random.Random(seed)
    said = grow(node, 12, source)
    for start in range(0, len(said), 7):
        some = said[start : start + 7]
        source.shuffle(some)
        follower.seen(some)
        follower.advance()
    # what fell between two pieces comes as history
    follower.seen(list(node.store.export(0, 10**6)))
    follower.advance()
    assert not follower.fork
    same(node, follower)
    assert [] == check(copy.database).damage


def test_strangers_bytes_change_nothing(node: Node, follower: Follower) -> None:
    """On an open broker anyone can publish where the ledger publishes."""
    said = grow(node, 4, random.Random(1))
    junk = [
        b"",
        b"garbage",
        anchor([bytes(32)], 1, STRANGER),
        block.sign_genesis(STRANGER, START, "mine"),
        forged(STRANGER, node, 1, bytes(32), 0, 1, bytes(32)),
        checkpoint.sign(STRANGER, checkpoint.ledger_name(node.id), 1, bytes(32)),
    ]
    follower.seen([*junk, *said, *junk])
    for raw in junk:
        follower.noted(raw)
        follower.shown(raw)
    follower.advance()
    assert not follower.fork
    same(node, follower)
    assert list(node.store.export(0, 99)) == list(follower.store.export(0, 99))


# ---- forks: (code, what the operator publishes besides)


def _twin(key: Signer, node: Node, stones: list[Milestone]) -> bytes:
    one = stones[2]
    return forged(key, node, one.index, one.previous, one.first, one.size, bytes(32))


def _other_past(key: Signer, node: Node, stones: list[Milestone]) -> bytes:
    head = stones[-1]
    return forged(key, node, head.index + 1, stones[-2].id, head.size, head.size + 1, bytes(32))


def _wrong_root(key: Signer, node: Node, stones: list[Milestone]) -> bytes:
    head = stones[-1]
    return forged(key, node, head.index + 1, head.id, head.size, head.size + 1, bytes(32))


def _wrong_first(key: Signer, node: Node, stones: list[Milestone]) -> bytes:
    head = stones[-1]
    return forged(key, node, head.index + 1, head.id, head.size - 1, head.size + 1, bytes(32))


FORKS = {
    "milestone.fork": _twin,
    "milestone.previous": _other_past,
    "milestone.root": _wrong_root,
    "milestone.order": _wrong_first,
}


@pytest.mark.parametrize("code", FORKS)
def test_a_ledger_that_contradicts_itself_is_caught(
    node: Node, follower: Follower, folder: Folder, copy: Folder, code: str
) -> None:
    """An operator who shows two histories to two people must be found out by whoever sees both."""
    said = grow(node, 6, random.Random(2))
    follower.seen(said)
    stones = follower.advance()
    lie = FORKS[code](folder.key(), node, stones)
    before = follower.head
    follower.shown(lie)
    follower.advance()
    assert code == follower.fork
    ((_, _, second, kept),) = follower.store.forks()
    assert (lie, code) == (second, kept)
    # what was good stays, and nothing later comes in, also after a restart
    follower.seen(grow(node, 2, random.Random(3)))
    assert [] == follower.advance()
    assert before == follower.head
    assert code == Follower(follower.store).fork
    assert [] == check(copy.database).damage


def test_checkpoint_with_another_root_is_caught(
    node: Node, follower: Follower, folder: Folder
) -> None:
    """A witness may be shown another tree than the followers."""
    follower.seen(grow(node, 3, random.Random(4)))
    follower.advance()
    follower.noted(node.store.checkpoint(node.head.index) or b"")
    assert [] == follower.store.forks()
    assert follower.store.checkpoint(node.head.index)
    name = checkpoint.ledger_name(node.id)
    follower.noted(checkpoint.sign(folder.key(), name, node.head.size, bytes(32)))
    assert "checkpoint.fork" == follower.fork


def test_two_next_milestones_are_caught_before_one_is_taken(
    node: Node, follower: Follower, folder: Folder
) -> None:
    """Which of two came first is no matter: both together are the proof."""
    stones = [milestone.parse(raw) for raw in grow(node, 3, random.Random(5))[-1:]]
    lie = _twin(folder.key(), node, [stones[0]] * 3)
    follower.seen([stones[0].block.raw, lie])
    assert "milestone.fork" == follower.fork


# ---- with everything real


@pytest.mark.timeout(120)
def test_follows_over_mqtt_from_genesis(tmp_path: Path, broker: Broker) -> None:
    """The second node has nothing but the broker and the ledger's line; it must serve the same blocks, survive a
    kill, and notice an operator who signs a second history.
    """
    ledger = Ledger(tmp_path / "site", broker.port, interval_s=0.1)
    second = Following(tmp_path / "second", broker.port, ledger.name)
    try:
        ledger.start()
        with Submitter(broker.port, ledger.id) as one:
            names = [one.submit(anchor(one.parents(), size)) for size in range(1, 30)]
            for name in names:
                one.answer(name, State.CONFIRMED)
            second.start()
            name = one.submit(anchor(one.parents(), 30))
            proof = one.answer(name, State.CONFIRMED).confirmed
            assert proof is not None
            until(lambda: second.index() >= proof.milestone.index, "the second node")
            mine = httpx.get(f"{second.url()}/v1/blocks/{name.hex()}/confirmed").content
            assert proof.encode() == mine
            second.kill()
            name = one.submit(anchor(one.parents(), 31))
            later = one.answer(name, State.CONFIRMED).confirmed
            assert later is not None
            second.start()
            until(lambda: second.index() >= later.milestone.index, "the second node again")
            assert "ok" == second.health()["status"]
            # the operator's second history: signed by his key, on an index that was used
            twin = milestone.sign(
                Folder(ledger.folder).key(),
                *(ledger.id, later.milestone.index, [later.milestone.previous], START),
                *(later.milestone.first, later.milestone.size, bytes(32)),
            )
            assert ledger.process is not None
            one.client.publish(one.topics.block(block.block_id(twin)), twin, 1)
            until(lambda: second.health()["status"] == "fork", "the alarm")
            assert "milestone.fork" == second.health()["code"]
            assert 503 == httpx.get(f"{second.url()}/healthz").status_code
            until(lambda: one.topics.fork in one.retained, "the alarm at the broker")
            evidence = cbor.decode(one.retained[one.topics.fork])
            assert isinstance(evidence, list)
            code, first, other = evidence
            assert "milestone.fork" == code
            key = VerifierKey.parse(ledger.name).key
            for raw in (first, other):
                assert isinstance(raw, bytes)
                milestone.parse(raw).verify(key)
            # reads go on
            again = httpx.get(f"{second.url()}/v1/blocks/{names[0].hex()}/confirmed").content
            milestone.parse_confirmed(again).verify_inclusion()
    finally:
        second.kill()
        ledger.kill()


def test_will_not_follow_into_a_ledgers_own_folder(tmp_path: Path, broker: Broker) -> None:
    """The key that signs must not stand where another process writes."""
    ledger = Ledger(tmp_path / "site", broker.port)
    done = ledger.command("follow", "--broker", "127.0.0.1:1", "--ledger", ledger.name)
    assert 1 == done.returncode
    assert "own key" in done.stderr
