"""Records and what they say. The refused forms stand in `refused.json`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import limits, record
from tallystick.body import Channel, CheckpointRef, EventCode, MilestoneRef, Open, Readings
from tallystick.errors import FormatError, LimitError, TallystickError
from tests.world import START, Device, key

VALUES = st.none() | st.integers(-(2**62), 2**62)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.data())
def test_readings_come_back(count: int, data: st.DataObject) -> None:
    """A value would change between the sensor and the report."""
    columns = tuple(
        tuple(data.draw(st.lists(VALUES, min_size=count, max_size=count))) for _ in range(2)
    )
    says = Readings(0, 0 if count == 1 else 7, columns)
    raw = record.sign(key("device"), 5, bytes(32), START, says)
    assert says == record.parse(raw).body


def test_times() -> None:
    """Readings would be shown at other moments than they were taken."""
    assert [100.0, 100.5, 101.0] == Readings(0, 5, ((1, 2, 3),)).times(100, 100)
    assert [100.0, 101.0, 101.5] == Readings(0, (10, 5), ((1, 2, 3),)).times(100, 100)
    assert [100.0] == Readings(0, 0, ((1,),)).times(100, 100)


@pytest.mark.parametrize("column", [(2**63 - 1, -(2**63)), (-(2**63), 2**63 - 1)])
def test_a_difference_beyond_64_bits(column: tuple[int, ...]) -> None:
    """A board with 64-bit words would read another value."""
    with pytest.raises(FormatError, match=r"^record\.columns"):
        record.parse(record.sign(key("d"), 5, bytes(32), 0, Readings(0, 1, (column,))))


def test_the_ends_of_64_bits() -> None:
    """The largest value that the format promises would be refused."""
    for value in (2**63 - 1, -(2**63)):
        says = Readings(0, 0, ((value,),))
        assert says == record.parse(record.sign(key("d"), 5, bytes(32), 0, says)).body


def test_open_has_256_bytes_at_most() -> None:
    """A modem that carries 256 bytes could never start a chain."""
    device = Device()
    made = device.open(channels=[Channel("x" * 20, "y" * 20, 0)] * 2)
    room = limits.OPEN_BYTES - len(made.raw)
    assert room >= 0
    with pytest.raises(LimitError, match=r"^record\.open-length"):
        device.open(channels=[Channel("x" * 20, "y" * 20, 0)] * 4)


def test_open_with_everything_fits() -> None:
    """The milestone that a window starts with would have no room."""
    says = Open(
        9, "0.1.0", bytes(16), 5, bytes(16), (Channel("t", "Cel", -1),), 1000,
        MilestoneRef(bytes(8), bytes(32)), None,
    )  # fmt: skip
    made = record.parse(record.sign(key("d"), 9, bytes(32), START, says))
    assert says == made.body
    assert made.clock_set


def test_head() -> None:
    """A chain would not be bound to its key, or a clock that is not set would be taken for one."""
    device = Device()
    made = device.open(time=300)
    assert record.genesis(device.first) == made.prev
    assert record.genesis(key("other").public) != made.prev
    assert not made.clock_set
    assert device.readings(seq=1, prev=made.id).prev == made.id


def test_events() -> None:
    """A gap that the board explains would stay open, or an adoption would be missed."""
    device = Device()
    device.open()
    device.seq = 9
    assert range(3, 6) == device.event(EventCode.DROPPED, 3, 5).gives_up()
    assert range(4, 5) == device.event(EventCode.PRUNED, 4, 4).gives_up()
    other = device.event(999, 3, 5)
    assert (None, None) == (other.gives_up(), other.adopts())
    assert 6 == device.adopt(6, bytes(32)).adopts()


def test_the_event_of_a_command() -> None:
    """An operator would read of a command that no board can have meant."""
    device = Device()
    device.open()
    body = device.event(EventCode.COMMAND, 7, b"report").body
    assert (EventCode.COMMAND, (7, b"report")) == (body.code, body.args)  # type: ignore[union-attr]
    for args in ((7,), (b"report", 7), (-1, b"report"), (7, b"\xff"), (7, b"x" * 33), (7, None)):
        with pytest.raises(TallystickError):
            device.event(EventCode.COMMAND, *args)


def test_beacon_round_trip() -> None:
    """A beacon's milestone would not be found again."""
    device = Device()
    device.open()
    stone, point = MilestoneRef(b"l" * 8, b"m" * 32), CheckpointRef(b"g" * 8, 7, b"r" * 32)
    made = device.beacon(stone, point).body
    assert (stone, point) == (made.milestone, made.checkpoint)  # type: ignore[union-attr]


@given(st.binary(max_size=200))
def test_random_bytes(raw: bytes) -> None:
    """A stranger's message could stop a gateway."""
    with pytest.raises(TallystickError):
        record.parse(raw)
