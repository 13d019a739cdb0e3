"""Attacks on the ledger: each has the effect that is intended, which is none, and a code that says so.

Forged and malformed blocks one by one are in test_node.py; what a second node sees of a ledger that lies is
in test_follower.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import block, did, message, statement
from tallystick.block import BlockKind
from tallystick.errors import PathError
from tallystick.keys import PrivateKey
from tallystick.milestone import Confirmed
from tallystick.receipt import Receipt, State, parse
from tallystick.statement import History, StatementKind, Status
from tallystick_ledger import node as rules
from tallystick_ledger.dag import MAX_DEPTH
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.folder import Folder
from tallystick_ledger.limits import MILESTONES_A_TICK
from tallystick_ledger.node import Node
from tallystick_ledger.store import Store
from tallystick_ledger.writers import Writers, read_allow_list
from tests.ledger.conftest import START, Clock
from tests.ledger.site import anchor, gateway_key, said
from tests.ledger.test_node import attach, refused

STRANGER = gateway_key(99)
GATEWAY = gateway_key(1)
ISSUER = gateway_key(50)
OWNER = gateway_key(52)
DEVICE = gateway_key(51)


class Steady:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def steady() -> Steady:
    """Stands still."""
    return Steady()


@pytest.fixture
def guarded(folder: Folder, clock: Clock, steady: Steady) -> Iterator[Node]:
    """An open ledger: 10 blocks a second for a known writer, 2 for all strangers together."""
    with Store.writing(folder.database) as store:
        node = Node(store, folder.key(), clock, lambda g: Writers(g, None, 10, 2), steady)
        node.gateways.learn(message.sign_grant(STRANGER, GATEWAY.public, 1))
        yield node


def confirmed(node: Node, name: bytes) -> Confirmed:
    """The proof of a block that a milestone confirms."""
    proof = node.receipt(name).confirmed
    assert proof is not None
    return proof


# ---- parents


def test_parasite_chain_is_refused(node: Node) -> None:
    """A chain that was built aside on an old block, to be hung in when it suits, must not come in."""
    root = node.previous
    chain = [anchor([root], 1, STRANGER)]
    for size in range(2, 30):
        chain.append(anchor([block.block_id(chain[-1])], size, STRANGER))
    for _ in range(MAX_DEPTH + 2):
        node.tick()
    answers = node.submit(chain)
    codes = [answer.receipt.detail for answer in answers]
    assert ["block.parent-deep"] + ["block.parent-unknown"] * 28 == codes
    # with one young parent beside the old one it is no better
    assert "block.parent-deep" == refused(node, anchor([*node.tips(), root], 1, STRANGER))


def test_chain_built_aside_gains_no_place(node: Node) -> None:
    """Within the depth limit it comes in: behind all that was confirmed before, whatever time it claims."""
    root = node.previous
    honest = attach(node, anchor([root], 1))
    node.tick()
    chain = [anchor([root], 1, STRANGER)]
    for size in range(2, 10):
        chain.append(anchor([block.block_id(chain[-1])], size, STRANGER))
    names = [attach(node, raw) for raw in chain]
    late = attach(node, anchor(node.tips(), 2))
    node.tick()
    places = [confirmed(node, name).position for name in names]
    assert sorted(places) == places
    assert confirmed(node, honest).position < places[0]
    assert State.CONFIRMED is node.receipt(late).state


def test_lazy_tips_draw_nobody_and_are_confirmed(node: Node) -> None:
    """Who always builds on old blocks must not make others build there, and loses nothing by it."""
    root = node.previous
    for _ in range(10):
        node.tick()
    (answer,) = node.submit([anchor([root], 1, STRANGER)])
    assert (State.ATTACHED, "block.lazy") == (answer.receipt.state, answer.receipt.detail)
    lazy = answer.receipt.block
    young = attach(node, anchor([node.previous], 2))
    assert {young} == {tip for _ in range(50) for tip in node.tips()}
    node.tick()
    assert State.CONFIRMED is node.receipt(lazy).state


def test_orphans_are_promoted(node: Node) -> None:
    """Nobody builds on them, and there are more than one round can take: the oldest come first, none stays."""
    limit = 3 * MILESTONES_A_TICK
    parents = [node.previous]
    node._writers = Writers(node.gateways, None, 10**6, 10**6)
    raws = [anchor(parents, size + 1) for size in range(limit + 100)]
    names = [answer.receipt.block for answer in node.submit(raws)]
    node.tick()
    waiting = [name for name in names if node.receipt(name).state is not State.CONFIRMED]
    assert names[-len(waiting) :] == waiting
    assert 0 < len(waiting) <= 110
    node.tick()
    assert {State.CONFIRMED} == {node.receipt(name).state for name in names}


# ---- floods


def test_flood_of_strangers_closes_the_door_to_strangers_alone(
    guarded: Node, steady: Steady
) -> None:
    """Ten thousand valid blocks of nobody must not keep one honest gateway from anchoring."""
    flood = [anchor(guarded.tips()[:1], size, STRANGER) for size in range(1, 101)]
    states = [answer.receipt for answer in guarded.submit(flood)]
    taken = [one for one in states if one.state is State.ATTACHED]
    assert 20 == len(taken)
    assert {"writer.rate"} == {one.detail for one in states if one.state is State.REJECTED}
    # a name that is not his does not help the stranger: the block bears his key
    lent = block.parse(anchor(guarded.tips()[:1], 5, GATEWAY)).carried
    for n in range(5):
        raw = block.sign(STRANGER, guarded.tips()[:1], START + n, BlockKind.ANCHOR, lent)
        assert "writer.rate" == refused(guarded, raw)
    for size in range(1, 101):
        attach(guarded, anchor(guarded.tips()[:1], size, GATEWAY))
    assert "writer.rate" == refused(guarded, anchor(guarded.tips()[:1], 101, GATEWAY))
    # room comes back with time, and what was refused may come again
    steady.now += 1
    attach(guarded, flood[-1])
    attach(guarded, anchor(guarded.tips()[:1], 101, GATEWAY))


def test_flood_does_not_move_what_it_follows(guarded: Node) -> None:
    """A block keeps the position that its first milestone gave it, whatever is poured in afterwards."""
    mine = attach(guarded, anchor(guarded.tips()[:1], 1, GATEWAY))
    guarded.tick()
    before = guarded.receipt(mine).encode()
    guarded.submit([anchor(guarded.tips()[:1], size, STRANGER) for size in range(1, 50)])
    guarded.tick()
    assert before == guarded.receipt(mine).encode()


def test_pressure_makes_milestones_before_their_time(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long interval must not fill the ledger up while it waits."""
    monkeypatch.setattr(rules, "PRESSURE_BLOCKS", 50)
    assert [] == node.relieve()
    round_ = node.round
    node.submit([anchor([node.previous], size) for size in range(1, 60)])
    assert node.relieve()
    assert 1 == len(node.pending)
    assert round_ == node.round


# ---- a list of keys


def test_list_of_keys_keeps_strangers_out(folder: Folder, clock: Clock, tmp_path: Path) -> None:
    """A site that pays for its disk decides who writes on it; the owner of a device still can."""
    listed = tmp_path / "writers"
    listed.write_text(
        f"# the site's own\n{did.did_key(GATEWAY.public)}\n\n"
        f"{did.did_key(OWNER.public)}  # who owns the boards\n"
    )
    keys = read_allow_list(listed)
    with Store.writing(folder.database) as store:
        node = Node(store, folder.key(), clock, lambda g: Writers(g, keys))
        # a grant opens no door that the list has not
        node.gateways.learn(message.sign_grant(STRANGER, STRANGER.public, 1))
        assert "writer.unknown" == refused(node, anchor(node.tips(), 1, STRANGER))
        attach(node, anchor(node.tips(), 1, GATEWAY))
        # a statement of the owner comes in a block of a key that is thrown away
        raw = statement.sign(OWNER, did.did_key(DEVICE.public), node.id, None, StatementKind.STOLEN)
        moment = PrivateKey.generate()
        attach(node, block.sign(moment, node.tips()[:1], START, BlockKind.STATEMENT, raw))
        again = block.sign(STRANGER, node.tips()[:1], START, BlockKind.STATEMENT, raw)
        assert "writer.unknown" == refused(node, again)
        # the right kid and another's signature
        forged = bytearray(anchor(node.tips()[:1], 2, GATEWAY))
        forged[-1] ^= 1
        assert "writer.unknown" == refused(node, bytes(forged))


@pytest.mark.parametrize("line", ["nonsense", "did:key:zzz", "did:web:example.org", "a+b+c"])
def test_list_with_a_mistake_is_refused_by_line(tmp_path: Path, line: str) -> None:
    """A key that was mistyped must not silently lock its owner out."""
    listed = tmp_path / "writers"
    listed.write_text(f"{did.did_key(GATEWAY.public)}\n{line}\n")
    with pytest.raises(LedgerError, match="line 2"):
        read_allow_list(listed)


# ---- the order of statements


def history(node: Node, by: PrivateKey) -> History:
    """What a verifier makes of all statements about the device."""
    found = History(did.did_key(DEVICE.public), node.id, [by.public])
    for name in node.store.statements(DEVICE.public.kid, 0, 100):
        proof = confirmed(node, name)
        found.apply(statement.parse(proof.block.carried), proof.position, proof.milestone.time)
    return found


def test_order_of_two_statements_is_that_of_the_walk(node: Node) -> None:
    """Two nodes must agree which of two statements came first; the time that a block claims is no argument."""
    first = said(node.tips(), node.id, DEVICE, StatementKind.STOLEN, ISSUER)
    raw = statement.sign(
        ISSUER,
        *(did.did_key(DEVICE.public), node.id, None, StatementKind.REGISTERED),
        [did.did_key(STRANGER.public).encode()],
    )
    claim = block.sign(STRANGER, [block.block_id(first)], 0, BlockKind.STATEMENT, raw)
    names = [attach(node, first), attach(node, claim)]
    node.tick()
    assert confirmed(node, names[0]).position < confirmed(node, names[1]).position


def test_statement_said_again_does_not_move(node: Node) -> None:
    """A thief posts the owner's old statement again, to have it count after the theft: the first place counts."""
    registered = statement.sign(
        ISSUER,
        *(did.did_key(DEVICE.public), node.id, None, StatementKind.REGISTERED),
        [did.did_key(OWNER.public).encode()],
    )
    attach(node, block.sign(ISSUER, node.tips(), START, BlockKind.STATEMENT, registered))
    node.tick()
    stolen = statement.sign(
        ISSUER,
        *(did.did_key(DEVICE.public), node.id, statement.parse(registered).id),
        StatementKind.STOLEN,
    )
    attach(node, block.sign(OWNER, node.tips(), START, BlockKind.STATEMENT, stolen))
    node.tick()
    attach(node, block.sign(STRANGER, node.tips(), START, BlockKind.STATEMENT, registered))
    node.tick()
    assert Status.STOLEN is history(node, ISSUER).status
    assert 2 == len(list(node.store.statements(DEVICE.public.kid, 0, 100)))


def test_statement_of_a_stranger_in_front_changes_nothing(node: Node) -> None:
    """Being first is not being right."""
    forged = statement.sign(
        STRANGER,
        *(did.did_key(DEVICE.public), node.id, None, StatementKind.REGISTERED),
        [did.did_key(STRANGER.public).encode()],
    )
    attach(node, block.sign(STRANGER, node.tips(), START, BlockKind.STATEMENT, forged))
    node.tick()
    assert Status.UNKNOWN is history(node, ISSUER).status


# ---- receipts


def test_receipt_of_another_anchor_is_refused(node: Node) -> None:
    """A gateway that keeps it as its own would hand out proofs that are TAMPERED."""
    names = [attach(node, anchor(node.tips()[:1], size)) for size in (1, 2, 3)]
    node.tick()
    for mine, other in itertools.permutations(names, 2):
        proof = confirmed(node, other)
        with pytest.raises(Exception, match="the proof is that of another block") as raised:
            parse(Receipt(State.CONFIRMED, mine, "", proof).encode())
        assert "receipt.block" == getattr(raised.value, "code", None)
        # the right block with the other's place
        swapped = Confirmed(
            confirmed(node, mine).block, proof.position, proof.path, proof.milestone
        )
        with pytest.raises(PathError):
            swapped.verify_inclusion()


def test_receipt_with_a_later_milestone_is_refused(node: Node) -> None:
    """'Not after' would move: the block is under a later root as well, but that milestone did not confirm it."""
    name = attach(node, anchor(node.tips()))
    node.tick()
    early = confirmed(node, name)
    node.tick()
    attach(node, anchor(node.tips()[:1], 2))
    later = node.tick()[-1]
    from tallystick_ledger import tree

    path = tree.path(node.store.node, early.position, later.size)
    moved = Confirmed(early.block, early.position, tuple(path), later)
    with pytest.raises(PathError) as raised:
        moved.verify_inclusion()
    assert "milestone.position" == raised.value.code
