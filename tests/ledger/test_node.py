"""The ledger's rules: what is attached, what is refused, what a milestone confirms."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tallystick import block, cbor, checkpoint, limits, merkle, message, milestone
from tallystick.block import BlockKind
from tallystick.keys import PrivateKey
from tallystick.milestone import Milestone
from tallystick.receipt import State
from tallystick.statement import StatementKind
from tallystick_ledger import node as rules
from tallystick_ledger.errors import ForkError
from tallystick_ledger.folder import Folder
from tallystick_ledger.node import Node
from tallystick_ledger.store import Store
from tests.ledger.conftest import START, Clock
from tests.ledger.site import anchor, gateway_key, said

OUTSIDER = gateway_key(99)
ISSUER = gateway_key(50)
DEVICE = gateway_key(51)


def attach(node: Node, raw: bytes) -> bytes:
    """Submit a block that must be taken; its id."""
    (answer,) = node.submit([raw])
    assert State.ATTACHED is answer.receipt.state, answer.receipt.detail
    return answer.receipt.block


def refused(node: Node, raw: bytes) -> str:
    """Submit a block that must be refused; the code."""
    before = node.store.pending_count()
    (answer,) = node.submit([raw])
    assert State.REJECTED is answer.receipt.state
    assert answer.attached is None
    assert before == node.store.pending_count()
    assert not node.store.has(block.block_id(raw))
    return answer.receipt.detail


def all_ids(node: Node) -> list[bytes]:
    """The ids of all confirmed blocks in order."""
    return [block.block_id(raw) for raw in node.store.export(0, 10**6)]


def check(node: Node, made: Milestone) -> None:
    """The milestone commits to exactly the confirmed blocks, by the library's tree."""
    leaves = [merkle.leaf_hash(name) for name in all_ids(node)[: made.size]]
    assert made.size == len(leaves)
    assert made.root == merkle.root(leaves)


# ---- attacks


ATTACKS: dict[str, tuple[Callable[[Node], bytes], str]] = {
    "garbage": (lambda _: b"\xff\x00garbage", "cbor.malformed"),
    "nothing": (lambda _: b"", "cbor.malformed"),
    "too long": (lambda _: bytes(limits.BLOCK_BYTES + 1), "block.too-long"),
    "bytes left over": (lambda n: anchor(n.tips()) + b"\x00", "cbor.not-deterministic"),
    "unknown parent": (lambda _: anchor([bytes(32)]), "block.parent-unknown"),
    "one known, one unknown parent": (
        lambda n: anchor([*n.tips(), bytes(32)]),
        "block.parent-unknown",
    ),
    "future parent": (
        lambda n: anchor([block.block_id(anchor(n.tips(), 2))], 3),
        "block.parent-unknown",
    ),
    "no parents": (lambda _: anchor([]), "block.parents"),
    "five parents": (lambda _: anchor([bytes([n]) * 32 for n in range(5)]), "block.parents"),
    "one parent twice": (lambda n: anchor(n.tips() * 2), "block.parents"),
    "genesis": (lambda _: block.sign_genesis(OUTSIDER, START, "mine"), "block.kind-reserved"),
    "milestone": (
        lambda n: milestone.sign(OUTSIDER, n.id, 1, n.tips(), START, 0, 1, bytes(32)),
        "block.kind-reserved",
    ),
    "unknown kind": (
        lambda n: rewritten(anchor(n.tips()), kind=4),
        "block.kind",
    ),
    "anchor of no checkpoint": (
        lambda n: block.sign(OUTSIDER, n.tips(), START, BlockKind.ANCHOR, b"hello"),
        "note.shape",
    ),
    "anchor without its origin's signature": (
        lambda n: block.sign(
            OUTSIDER, n.tips(), START, BlockKind.ANCHOR, unsigned_note("tallystick/" + "0" * 16)
        ),
        "anchor.unsigned",
    ),
    "statement for another ledger": (
        lambda n: said(n.tips(), bytes(8), DEVICE, StatementKind.STOLEN, ISSUER),
        "statement.ledger",
    ),
    "statement that is none": (
        lambda n: block.sign(OUTSIDER, n.tips(), START, BlockKind.STATEMENT, b"\x80"),
        "cose.tag",
    ),
}


def unsigned_note(origin: str) -> bytes:
    """A checkpoint of `origin` whose only signature is that of another name."""
    good = checkpoint.sign(OUTSIDER, "somebody", 1, bytes(32))
    return good.replace(b"somebody\n", origin.encode() + b"\n", 1)


def rewritten(raw: bytes, kind: int) -> bytes:
    """The block with another kind."""
    tagged = cbor.decode(raw)
    assert isinstance(tagged, cbor.Tagged)
    protected, header, payload, signature = tagged.value
    fields = cbor.decode(payload)
    assert isinstance(fields, list)
    fields[2] = kind
    return cbor.encode(cbor.Tagged(18, [protected, header, cbor.encode(fields), signature]))


@pytest.mark.parametrize("attack", ATTACKS)
def test_refused_with_a_stable_code(node: Node, attack: str) -> None:
    """One that is taken could never be confirmed, or confirms what the ledger did not; one that is
    met with silence leaves an honest submitter waiting for ever.
    """
    made, code = ATTACKS[attack]
    assert code == refused(node, made(node))


def test_ledger_key_does_not_open_the_door(node: Node, folder: Folder) -> None:
    """A milestone from outside must be refused even if it is validly signed."""
    forged = milestone.sign(folder.key(), node.id, 1, node.tips(), START, 0, 1, bytes(32))
    assert "block.kind-reserved" == refused(node, forged)


def test_stranger_cannot_anchor_in_a_known_gateways_name(node: Node) -> None:
    """A made-up size under its name would hide from a restored gateway how far its log had come."""
    known, unknown = gateway_key(1), gateway_key(2)
    node.gateways.learn(b"garbage")
    node.gateways.learn(message.sign_grant(OUTSIDER, known.public, 1))
    for origin, code in ((known, "anchor.signature"), (unknown, None)):
        name = checkpoint.gateway_name(origin.public)
        note = checkpoint.sign(OUTSIDER, name, 2**63 - 1, bytes(32))
        raw = block.sign(OUTSIDER, node.tips(), START, BlockKind.ANCHOR, note)
        if code is None:
            attach(node, raw)
        else:
            assert code == refused(node, raw)
    attach(node, anchor(node.tips(), 7, known))


def test_full_ledger_refuses(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who floods the ledger must not fill its memory, and room comes back by itself."""
    monkeypatch.setattr(rules, "PENDING_BLOCKS", 3)
    early = anchor(node.tips(), 1)
    first = attach(node, early)
    attach(node, anchor([first], 2))
    late = anchor([first], 3)
    assert "ledger.full" == refused(node, late)
    assert State.ATTACHED is node.submit([early])[0].receipt.state
    node.tick()
    attach(node, late)


# ---- attaching and confirming


def test_confirmed_block_proves_itself(node: Node) -> None:
    """The receipt is what a gateway puts into proof files: it must verify without the ledger."""
    name = attach(node, anchor(node.tips()))
    assert State.ATTACHED is node.receipt(name).state
    (made,) = node.tick()
    proof = node.receipt(name).confirmed
    assert proof is not None
    assert name == proof.block.id
    assert made.id == proof.milestone.id
    proof.verify_inclusion()
    proof.milestone.verify(node.store.key)
    check(node, made)


def test_proof_stays_that_of_the_confirming_milestone(node: Node) -> None:
    """'Not after' is the time of that milestone: a proof asked for later must not tell a later time."""
    name = attach(node, anchor(node.tips()))
    node.tick()
    at_once = node.receipt(name).encode()
    for size in range(2, 12):
        attach(node, anchor(node.tips()[:2], size))
        node.tick()
    assert at_once == node.receipt(name).encode()


def test_duplicate_is_harmless(node: Node) -> None:
    """A gateway that did not hear the answer sends again, before and after the confirmation."""
    raw = anchor(node.tips())
    twice = node.submit([raw, raw])
    assert [State.ATTACHED] * 2 == [answer.receipt.state for answer in twice]
    assert [True, False] == [answer.attached is not None for answer in twice]
    node.tick()
    (again,) = node.submit([raw])
    assert State.CONFIRMED is again.receipt.state
    assert again.attached is None
    assert 1 == all_ids(node).count(block.block_id(raw))


def test_own_blocks_sent_back_are_harmless(node: Node) -> None:
    """Anyone can send genesis or a milestone back; it is a duplicate and changes nothing."""
    made = node.tick()[0]
    size = node.head.size
    genesis = node.store.raw(made.previous)
    assert genesis is not None
    answers = node.submit([genesis, made.block.raw])
    assert [State.CONFIRMED, State.ATTACHED] == [answer.receipt.state for answer in answers]
    assert size == node.head.size


def test_idle_milestones_go_on(node: Node, clock: Clock) -> None:
    """They are the clock of 'not before': a quiet site must not lose it."""
    made: list[Milestone] = []
    for _ in range(5):
        clock.now += 10
        made += node.tick()
    assert [1, 2, 3, 4, 5] == [one.index for one in made]
    assert [START + 10 * n for n in range(1, 6)] == [one.time for one in made]
    for before, after in itertools.pairwise(made):
        assert before.id == after.previous == after.block.parents[0]
        assert before.size + 1 == after.size
    check(node, made[-1])


def test_clock_that_goes_back(node: Node, clock: Clock) -> None:
    """A gateway's clock that is set back by an hour must not date an anchor before what it follows."""
    clock.now = START + 1_000
    node.tick()
    clock.now = START - 3_600
    made = node.tick()
    assert START + 1_000 == made[-1].time
    assert 4_600 == node.behind_s()
    clock.now = START + 1_001
    assert START + 1_001 == node.tick()[-1].time
    assert 0 == node.behind_s()


def test_no_tip_is_left_behind(node: Node) -> None:
    """Twenty gateways that all build on one block at the same moment are all confirmed in one tick."""
    parents = node.tips()
    names = [attach(node, anchor(parents, n + 1)) for n in range(20)]
    made = node.tick()
    assert [] == [name for name in names if node.receipt(name).state is not State.CONFIRMED]
    assert [made[-1].id] == node.tips()
    for one in made:
        check(node, one)
    # 20 tips, three a milestone, the oldest first
    assert 7 == len(made)
    positions = [p.position for name in names if (p := node.receipt(name).confirmed)]
    assert sorted(positions) == positions


def test_tips_are_bounded_and_drawn_by_lot(node: Node) -> None:
    """The retained topic must stay small under a flood, and nobody can foretell on what others build."""
    node.tick()
    assert node.newest is not None
    parents = [node.newest.previous]
    names = {attach(node, anchor(parents, n + 1)) for n in range(100)} | {node.newest.id}
    drawn = [node.tips() for _ in range(100)]
    assert {64} == {len(set(tips)) for tips in drawn}
    assert names == {tip for tips in drawn for tip in tips}


def test_restart_goes_on_where_it_ended(folder: Folder, node: Node, clock: Clock) -> None:
    """What is held in memory must be no more than what the database gives again."""
    first = attach(node, anchor(node.tips(), 1))
    node.tick()
    attach(node, anchor([first], 2))
    attach(node, anchor(node.tips()[:2], 3))
    with Store.writing(folder.database) as store:
        again = Node(store, folder.key(), clock)
        assert sorted(node.tips()) == sorted(again.tips())
        assert node.pending.parents == again.pending.parents
        assert node.head == again.head
        check(again, again.tick()[-1])


def test_second_writer_signs_nothing(folder: Folder, node: Node, clock: Clock) -> None:
    """Two processes that each believe to hold the head must not both publish a milestone of it."""
    with Store.writing(folder.database) as store:
        other = Node(store, folder.key(), clock)
        made = node.tick()
        with pytest.raises(ForkError):
            other.tick()
    assert made[-1].index == node.store.head().index


def test_newer_milestone_of_its_own_ends_signing(node: Node, folder: Folder) -> None:
    """A folder restored from an old backup would sign a second history; what the broker retains
    from before tells it so.
    """
    node.tick()
    assert node.newest is not None
    unseen = milestone.sign(folder.key(), node.id, 2, [node.newest.id], START, 0, 9, bytes(32))
    with pytest.raises(ForkError):
        node.shown(unseen)


def test_what_anyone_can_publish_does_not_end_signing(node: Node, folder: Folder) -> None:
    """A stranger must not stop the ledger with bytes on its milestone topic."""
    made = node.tick()[-1]
    key: PrivateKey = folder.key()
    for raw in (
        b"",
        b"garbage",
        anchor([made.id]),
        made.block.raw,
        milestone.sign(OUTSIDER, node.id, 9, [made.id], START, 0, 9, bytes(32)),
        milestone.sign(key, bytes(8), 9, [made.id], START, 0, 9, bytes(32)),
    ):
        node.shown(raw)
    assert made.index + 1 == node.tick()[-1].index


# ---- look-ups


def test_statements_of_a_device_at_their_first_position(node: Node) -> None:
    """A statement said again must not move; a copy with a broken signature must not hide it."""
    mine = said(node.tips(), node.id, DEVICE, StatementKind.STOLEN, ISSUER)
    body = block.parse(mine).carried
    # the same content in front of it, with a signature that fails
    broken = body[:-1] + bytes([body[-1] ^ 1])
    attach(node, block.sign(OUTSIDER, node.tips(), START, BlockKind.STATEMENT, broken))
    first = attach(node, mine)
    node.tick()
    attach(node, block.sign(OUTSIDER, node.tips(), START, BlockKind.STATEMENT, body))
    other = said(node.tips()[:1], node.id, gateway_key(52), StatementKind.STOLEN, ISSUER)
    attach(node, other)
    node.tick()
    found = list(node.store.statements(DEVICE.public.kid, 0, 100))
    assert 2 == len(found)
    assert first == found[1]
    position = node.receipt(first).confirmed
    assert position is not None
    assert [first] == list(node.store.statements(DEVICE.public.kid, position.position, 100))


def test_newest_anchor_of_a_gateway(node: Node) -> None:
    """A restored gateway finds here how far it had come; an old anchor said again must not hide it."""
    gateway = gateway_key(1).public.kid
    node.gateways.learn(message.sign_grant(OUTSIDER, gateway_key(1).public, 1))
    attach(node, anchor(node.tips(), 5))
    node.tick()
    newest = attach(node, anchor(node.tips(), 6))
    node.tick()
    old = block.parse(anchor(node.tips(), 5)).carried
    attach(node, block.sign(OUTSIDER, node.tips(), START, BlockKind.ANCHOR, old))
    attach(node, anchor(node.tips()[:1], 1, gateway_key(2)))
    node.tick()
    assert newest == node.store.newest_anchor(gateway)
    assert sorted([gateway, gateway_key(2).public.kid]) == node.store.gateways(10)


def test_newest_anchor_in_a_known_gateways_name_is_its_own(node: Node) -> None:
    """What a stranger posted in its name, before its key was known here, must give way for good."""
    key = gateway_key(1)
    name = checkpoint.gateway_name(key.public)
    forged = checkpoint.sign(OUTSIDER, name, 2**40, bytes(32))
    forged_at = attach(node, block.sign(OUTSIDER, node.tips(), START, BlockKind.ANCHOR, forged))
    node.tick()
    assert forged_at == node.store.newest_anchor(key.public.kid)
    node.gateways.learn(message.sign_grant(OUTSIDER, key.public, 1))
    own = attach(node, anchor(node.tips(), 3))
    node.tick()
    assert own == node.store.newest_anchor(key.public.kid)
