"""Blocks, milestones, receipts and credentials. The refused forms stand in `refused_objects.json`."""

from __future__ import annotations

import pytest

from tallystick import block, cbor, credential, did, milestone, receipt
from tallystick.block import BlockKind
from tallystick.errors import FormatError, PathError, TallystickError
from tallystick.receipt import Receipt, State
from tests.world import START, Ledger, SimKey, World, key


def test_blocks() -> None:
    """A block's id would not be that of its bytes, and a ledger's name not that of its start."""
    ledger = Ledger(key("ledger"))
    posted = ledger.post(BlockKind.ANCHOR, b"note", START)
    held = ledger.blocks[posted]
    assert (posted, b"note") == (block.block_id(held.raw), held.carried)
    assert ledger.id == block.ledger_id(
        ledger.blocks[ledger.order[0] if ledger.order else held.parents[0]].raw
    )
    stone = ledger.milestone(START + 1)
    stone.verify(ledger.signer.public)
    assert (1, 2, ledger.id) == (stone.index, stone.size, stone.ledger)
    with pytest.raises(FormatError, match=r"^block\.body"):
        _ = stone.block.carried


def test_confirmed() -> None:
    """A block could be shown as confirmed that is not, or elsewhere."""
    world = World()
    world.device.open()
    world.publish()
    held = world.ledger.confirmed(world.anchors[0])
    held.verify_inclusion()
    again = milestone.parse_confirmed(held.encode())
    assert held == again
    other = World()
    other.device.open()
    other.device.readings()
    other.publish()
    moved = milestone.Confirmed(held.block, held.position, held.path, other.ledger.milestones[0])
    with pytest.raises(PathError):
        moved.verify_inclusion()


def test_a_milestone_confirms_something() -> None:
    """A milestone that confirms no position could be signed over any tree, at any time."""
    ledger = Ledger(key("ledger"))
    ledger.post(BlockKind.ANCHOR, b"note", START)
    for first, fits in ((0, True), (1, True), (2, False), (3, False)):
        raw = milestone.sign(ledger.signer, ledger.id, 1, [ledger.head], START, first, 2, bytes(32))
        if fits:
            assert first == milestone.parse(raw).first
        else:
            with pytest.raises(FormatError, match=r"^milestone\.position"):
                milestone.parse(raw)


def test_receipts() -> None:
    """The answer for one block could be shown for another."""
    world = World()
    world.device.open()
    world.publish()
    held = world.ledger.confirmed(world.anchors[0])
    for one in (
        Receipt(State.REJECTED, bytes(32), "block.parents"),
        Receipt(State.ATTACHED, bytes(32)),
        Receipt(State.CONFIRMED, held.block.id, "", held),
    ):
        assert one == receipt.parse(one.encode())
    wrong = [
        ("receipt.block", Receipt(State.CONFIRMED, bytes(32), "", held)),
        ("receipt.shape", Receipt(State.CONFIRMED, held.block.id)),
        ("receipt.shape", Receipt(State.ATTACHED, held.block.id, "", held)),
        ("receipt.shape", Receipt(State.ATTACHED, bytes(32), "x" * 513)),
        ("receipt.shape", Receipt(State.REJECTED, bytes(32), "\x1b[2J")),
    ]
    for code, one in wrong:
        with pytest.raises(FormatError) as caught:
            receipt.parse(one.encode())
        assert code == caught.value.code
    with pytest.raises(FormatError, match=r"^receipt\.shape"):
        receipt.parse(cbor.encode([1]))


def test_credentials() -> None:
    """What the issuer certified would not be what is read."""
    world = World()
    for later in (key("second").public, SimKey("sim").public, None):
        parsed = credential.parse(world.credential(key=later, expires=START + 5))
        assert (world.issuer_did, world.device.did, later) == (
            parsed.issuer,
            parsed.subject,
            parsed.key,
        )
        assert world.device.first == parsed.device_key == did.public_key(parsed.subject)
        assert [False, True, True, False] == [
            parsed.valid_at(time) for time in (START - 86_401, START - 86_400, START + 4, START + 5)
        ]
        parsed.signed.verify(world.issuer.public)
    assert credential.parse(world.credential(expires=None)).valid_at(2**40)


def test_a_credential_that_a_board_carries_fits_in_a_message() -> None:
    """docs/format.md, section 14: 260 bytes."""
    assert len(World().credential()) <= 260


@pytest.mark.parametrize("parse", [block.parse, milestone.parse, credential.parse, receipt.parse])
def test_a_record_is_none_of_these(parse: object) -> None:
    """An object of one kind would pass as another."""
    with pytest.raises(TallystickError):
        parse(World().device.open().raw)  # type: ignore[operator]
