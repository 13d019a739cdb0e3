"""What the gateway believes of a ledger: what the ledger's key has signed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick import block, cbor, checkpoint, merkle, milestone, note
from tallystick.block import BlockKind
from tallystick.errors import FormatError, TallystickError
from tallystick.keys import PrivateKey
from tallystick.milestone import Confirmed, Milestone
from tallystick.receipt import Receipt, State
from tallystick_gateway import bounds
from tallystick_gateway.anchors import Anchors, LedgerKey, parse_tips
from tallystick_gateway.checkpoints import Checkpoints, HighWater
from tallystick_gateway.folder import Folder, Identity
from tallystick_gateway.log import Log
from tallystick_gateway.store import Store
from tests.gateway.boards import Board
from tests.gateway.ledger_double import LedgerDouble
from tests.gateway.running import Field, Gateway, eventually
from tests.parts import Broker

NOW = 1_790_000_000


class Ledger:
    """Signs milestones as a ledger does, without a broker."""

    def __init__(self) -> None:
        self.key = PrivateKey.generate()
        self.genesis = block.sign_genesis(self.key, 1, "test")
        self.id = block.ledger_id(self.genesis)
        self.line = note.VerifierKey(checkpoint.ledger_name(self.id), self.key.public)

    def milestone(self, ids: list[bytes], index: int = 1) -> Milestone:
        """A milestone over these ids."""
        hashes = [merkle.leaf_hash(one) for one in ids]
        raw = milestone.sign(
            self.key,
            self.id,
            index,
            [block.block_id(self.genesis)],
            NOW,
            0,
            len(ids),
            merkle.root(hashes),
        )
        return milestone.parse(raw)

    def confirm(self, raw: bytes) -> Confirmed:
        """The block, honestly confirmed."""
        parsed = block.parse(raw)
        ids = [block.block_id(self.genesis), parsed.id]
        path = merkle.inclusion_path([merkle.leaf_hash(one) for one in ids], 1)
        return Confirmed(parsed, 1, tuple(path), self.milestone(ids))


class Site:
    """Anchors over a signed log of one leaf."""

    def __init__(self, folder: Path, ledger: Ledger, identity: Identity) -> None:
        place = Folder(folder)
        self.store = Store.open(place.database)
        self.points = Checkpoints(identity, self.store, place, HighWater(place.high_water))
        self.points.settled = True
        self.leaves = [b"a"]
        self.tree = Log.open(place.log, lambda a, b: self.leaves[a:b], 1)
        self.points.sign(self.tree, NOW)
        self.anchors = Anchors(identity, LedgerKey(ledger.line), self.store, 60.0)

    def due(self, clock: float) -> list[bytes]:
        """Blocks to submit."""
        return self.anchors.due(self.points, clock, NOW)

    def grow(self) -> None:
        """One more leaf, signed."""
        self.leaves.append(b"b")
        self.tree.append([b"b"])
        self.points.sign(self.tree, NOW)


@pytest.fixture
def ledger() -> Ledger:
    """A ledger's key."""
    return Ledger()


@pytest.fixture
def identity() -> Identity:
    """A gateway's key."""
    return Identity.of(PrivateKey.generate())


@pytest.fixture
def site(tmp_path: Path, ledger: Ledger, identity: Identity) -> Site:
    """Anchors that know one tip."""
    made = Site(tmp_path, ledger, identity)
    made.anchors.tips(cbor.encode([block.block_id(ledger.genesis)]))
    return made


def _receipt(confirmed: Confirmed) -> bytes:
    return Receipt(State.CONFIRMED, confirmed.block.id, "", confirmed).encode()


def test_an_anchor_carries_the_newest_checkpoint(
    site: Site, ledger: Ledger, identity: Identity
) -> None:
    """The block is signed by the gateway, names known tips, holds the note, and is kept before it goes out."""
    (raw,) = site.due(0.0)
    parsed = block.parse(raw)
    parsed.signed.verify(identity.key.public)
    assert site.points.newest is not None
    assert (BlockKind.ANCHOR, site.points.newest.note) == (parsed.kind, parsed.carried)
    assert (block.block_id(ledger.genesis),) == parsed.parents
    assert [raw] == [anchor.block for anchor in site.store.anchors("pending")]


def test_a_confirmation_is_kept(site: Site, ledger: Ledger) -> None:
    """An honest confirmation ends the waiting, and covers the records up to its size."""
    (raw,) = site.due(0.0)
    site.anchors.receipt(_receipt(ledger.confirm(raw)), 1.0)
    kept = site.store.earliest_anchor(1)
    assert kept is not None
    assert (
        ledger.confirm(raw).block.raw == milestone.parse_confirmed(kept.confirmed or b"").block.raw
    )
    assert (0, 1) == (site.anchors.pending, site.store.anchored_size())
    assert site.anchors.ref is not None
    assert [] == site.due(1000.0)


def _lies(raw: bytes, ledger: Ledger) -> dict[str, bytes]:
    honest, thief = ledger.confirm(raw), Ledger()
    other_key = Ledger()
    other_key.genesis, other_key.id = ledger.genesis, ledger.id
    foreign = block.sign(thief.key, [bytes(32)], NOW, BlockKind.ANCHOR, b"")
    return {
        "another ledger": _receipt(thief.confirm(raw)),
        "this ledger's name with another key": _receipt(other_key.confirm(raw)),
        "another position": _receipt(honest.replace(position=0)),
        "no path": _receipt(honest.replace(path=())),
        "a milestone that holds something else": _receipt(
            honest.replace(milestone=ledger.milestone([bytes(32), bytes(32)]))
        ),
        "another block": _receipt(ledger.confirm(foreign)),
        "garbage": b"\xff",
        "nothing": b"",
        "a confirmation without proof": cbor.encode([2, honest.block.id, "", None]),
        "a proof for another id": cbor.encode([2, bytes(32), "", cbor.decode(honest.encode())]),
    }


LIES = (
    "another ledger",
    "this ledger's name with another key",
    "another position",
    "no path",
    "a milestone that holds something else",
    "another block",
    "garbage",
    "nothing",
    "a confirmation without proof",
    "a proof for another id",
)


@pytest.mark.parametrize("name", LIES)
def test_a_false_confirmation_is_not_believed(site: Site, ledger: Ledger, name: str) -> None:
    """Whoever may publish on the broker cannot make the gateway stop anchoring."""
    (raw,) = site.due(0.0)
    site.anchors.receipt(_lies(raw, ledger)[name], 1.0)
    assert (1, 0) == (site.anchors.pending, site.store.anchored_size())
    assert [raw] == site.due(1.0 + bounds.RESUBMIT_S)


def test_a_rejected_block_is_built_anew(site: Site, ledger: Ledger) -> None:
    """A block with parents that the ledger forgot does not hold up the next one, nor makes a storm."""
    (raw,) = site.due(0.0)
    rejected = Receipt(State.REJECTED, block.block_id(raw), "block.unknown-parent").encode()
    fresh = bytes(range(32))
    site.anchors.receipt(rejected, 1.0)
    site.anchors.tips(cbor.encode([fresh]))
    assert [] == site.due(1.0)

    (again,) = site.due(1.0 + bounds.REBUILD_S)

    assert (fresh,) == block.parse(again).parents
    assert ["block.unknown-parent"] == [a.detail for a in site.store.anchors("rejected")]


def test_pending_blocks_outlive_a_restart(site: Site, ledger: Ledger, identity: Identity) -> None:
    """What was submitted and not answered is submitted again, also after a power cut and a reconnection."""
    (raw,) = site.due(0.0)
    assert [] == site.due(1.0)
    site.anchors.connected()
    assert [raw] == site.due(2.0)
    again = Anchors(identity, LedgerKey(ledger.line), site.store, 60.0)
    again.tips(cbor.encode([bytes(32)]))
    assert [raw] == again.due(site.points, 0.0, NOW)


def test_the_interval_between_anchors(site: Site, ledger: Ledger) -> None:
    """A busy gateway does not flood its ledger; and a silent ledger is not buried under blocks."""
    site.due(0.0)
    site.grow()
    assert [] == site.due(59.0 - bounds.RESUBMIT_S)
    assert 2 == len(site.due(60.0))
    for step in range(2, 20):
        site.grow()
        site.due(60.0 * step)
    assert bounds.PENDING_ANCHORS == site.anchors.pending


def test_milestones_are_verified(site: Site, ledger: Ledger) -> None:
    """Boards are told of milestones that the ledger signed, of the newest, and of no other."""
    first, second = ledger.milestone([bytes(32)], 1), ledger.milestone([bytes(32)], 2)
    assert site.anchors.newest(second.block.raw, 0.0)
    assert not site.anchors.newest(first.block.raw, 0.0)
    assert not site.anchors.newest(Ledger().milestone([bytes(32)], 9).block.raw, 0.0)
    assert not site.anchors.newest(b"\xff", 0.0)
    assert not site.anchors.newest(ledger.genesis, 0.0)
    assert site.anchors.ref is not None
    assert second.id == site.anchors.ref.id
    assert second.block.raw == site.store.newest_milestone(ledger.id)


def test_another_ledger_starts_anew(site: Site, ledger: Ledger, identity: Identity) -> None:
    """A gateway that is pointed at another ledger names that one's milestones, however young it is."""
    site.anchors.newest(ledger.milestone([bytes(32)], 500).block.raw, 0.0)
    other = Ledger()
    anchors = Anchors(identity, LedgerKey(other.line), site.store, 60.0)
    assert anchors.ref is None
    assert anchors.newest(other.milestone([bytes(32)], 1).block.raw, 0.0)


def test_a_new_origin_is_anchored_at_once(site: Site, ledger: Ledger) -> None:
    """After `new-log` the ledger hears of the new log, though the old one covered all of it."""
    (raw,) = site.due(0.0)
    site.anchors.receipt(_receipt(ledger.confirm(raw)), 1.0)
    assert 1 == site.store.anchored_size()
    assert 0 == site.store.anchored_size("tallystick/0123456789abcdef")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        cbor.encode([bytes(31)]),
        cbor.encode([bytes(32)] * 2),
        cbor.encode([bytes([i]) * 32 for i in range(65)]),
        cbor.encode({1: bytes(32)}),
        cbor.encode([bytes(32)]) + b"\x00",
    ],
)
def test_tips_are_parsed_strictly(site: Site, raw: bytes) -> None:
    """Garbage in the list of tips changes nothing."""
    with pytest.raises(TallystickError):
        parse_tips(raw)
    site.anchors.tips(raw)
    assert 1 == len(site.due(0.0))


def test_a_line_that_names_no_ledger(identity: Identity) -> None:
    """A gateway's line in place of a ledger's is a slip that is told at once."""
    with pytest.raises(FormatError):
        LedgerKey(identity.verifier)


def test_a_ledger_that_forgets_and_one_that_lies(
    broker: Broker, gateway: Gateway, field: Field
) -> None:
    """Through the real broker: false tips and lost blocks delay an anchor, and do no more."""
    double = LedgerDouble(broker.port, automatic=False)
    gateway.ledger = double.line
    board = Board()
    gateway.enrol(board)
    try:
        double.say_tips([bytes(32)])
        gateway.start()
        field.send(board, board.fill(2))
        eventually(lambda: len(double.submitted) >= 1, "submission")
        double.say_tips([double.milestones[-1].id])
        eventually(lambda: len(double.attached) == 1, "attached block")
        gateway.kill()
        double.attached.clear()
        gateway.start()
        eventually(lambda: len(double.attached) == 1, "block submitted again")
        assert 1 == gateway.json("/healthz")["pending"]
        double.milestone()
        eventually(lambda: gateway.json("/healthz")["anchored"] == 2, "anchor")
    finally:
        double.close()
