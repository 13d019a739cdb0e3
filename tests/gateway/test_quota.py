"""A device's share: only its own new records count, and what is above it is refused by a code and not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick import topics
from tallystick_gateway import bounds
from tallystick_gateway.intake import Intake
from tallystick_gateway.quota import Bucket, Shares
from tests.gateway.boards import Board
from tests.gateway.test_intake import GATEWAY, Door


def limited(tmp_path: Path, board: Board, shares: Shares) -> Door:
    """A door that grants these shares."""
    door = Door(tmp_path, board)
    devices = door.intake.devices
    door.intake = Intake(door.store, GATEWAY, shares)
    door.intake.devices = devices
    return door


def test_a_bucket_fills_with_time() -> None:
    """A share is so much a second over time, and a backlog at once."""
    bucket = Bucket(3, 2.0)
    assert [True, True, True, False] == [bucket.take(1, 10.0) for _ in range(4)]
    assert bucket.take(1, 10.5)
    assert not bucket.take(1, 10.5)
    # a clock that jumps back fills nothing, and one far ahead no more than the whole
    assert not bucket.take(1, 5.0)
    assert [True, True, True, False] == [bucket.take(1, 9e9) for _ in range(4)]


@pytest.mark.parametrize(
    ("shares", "code"),
    [
        (Shares(records_s=0.0, records=5), "device.rate"),
        (Shares(bytes_s=0.0, bytes=900), "device.bytes"),
    ],
)
def test_a_board_that_floods_is_refused_and_loses_nothing(
    tmp_path: Path, shares: Shares, code: str
) -> None:
    """The acknowledgement stops where the share does, so the board keeps the rest and sends it again."""
    board = Board()
    records = board.fill(30)
    door = limited(tmp_path, board, shares)

    batch = door.take(board, *records)

    taken = batch.results["admitted"]
    assert 30 - taken == batch.results["limited"] > 0
    assert taken - 1 == door.upto(board)
    assert {code} == {refusal.code for refusal in batch.refusals}
    assert [] == door.store.quarantined(10)  # it is no evidence of anything
    door.intake = door.fresh()
    door.take(board, *records[taken:])
    assert 29 == door.upto(board)


def test_nobody_uses_up_anothers_share(tmp_path: Path) -> None:
    """Forgeries and replays on a board's topic cost the board nothing."""
    board, thief = Board(), Board()
    records = board.fill(6)
    door = limited(tmp_path, board, Shares(records_s=0.0, records=6))
    forged = [one.raw[:-64] + bytes(64) for one in records]

    door.take(board, *forged, *(thief.fill(20)))
    door.take(board, *records[:3])
    door.take(board, *(records[:3] * 10))
    batch = door.take(board, *records[3:])

    assert {"admitted": 3} == batch.results
    assert 5 == door.upto(board)


def test_what_waits_above_a_gap_is_bounded(tmp_path: Path) -> None:
    """A board that never sends the missing record cannot pile up others; the missing one is always let in."""
    board = Board()
    records = board.fill(20)
    door = limited(tmp_path, board, Shares(pending=4))

    batch = door.take(board, records[0], *records[2:12])

    assert {"admitted": 5, "limited": 6} == batch.results
    assert {"device.pending"} == {refusal.code for refusal in batch.refusals}
    door.take(board, records[1], *records[6:])
    assert 19 == door.upto(board)


def test_a_flood_of_noise_is_counted_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What strangers send costs the disk a fixed amount a second."""
    monkeypatch.setattr(bounds, "KEPT_MESSAGES", 5)
    board = Board()
    door = Door(tmp_path, board)

    batch = door.take_raw(topics.Device(board.id).up, *(b"noise %d" % n for n in range(50)))

    assert 50 == batch.results["rejected"]
    assert 45 <= batch.results["unkept"] <= 50
    assert len(door.store.quarantined(100)) <= 5
