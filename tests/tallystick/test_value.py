"""Values: what a parsed thing is, and that it stays so."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from functools import cached_property

import pytest

from tallystick.body import Readings
from tallystick.cose import Signed
from tallystick.record import Record
from tallystick.value import Value


class Point(Value):
    """For these tests."""

    x: int
    y: int = 0

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("left of it")

    @cached_property
    def total(self) -> int:
        return self.x + self.y


def test_it_is_what_its_fields_are() -> None:
    """Two equal records would differ, or a set would hold one twice."""
    assert Point(1) == Point(x=1, y=0) == Point(1, 0)
    assert Point(1) != Point(2)
    assert Point(1) != (1, 0)
    assert 1 == len({Point(1), Point(1, y=0)})
    assert "Point(x=1, y=2)" == repr(Point(1, 2))


def test_it_cannot_be_changed() -> None:
    """What was verified could be another thing afterwards."""
    point = Point(1, 2)
    with pytest.raises(AttributeError):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.x
    assert 3 == point.total
    assert Point(4, 2) == point.replace(x=4) == dataclasses.replace(point, x=4)
    assert {"x": 1, "y": 2} == dataclasses.asdict(point)
    assert Point(1, 2) == point


@pytest.mark.parametrize(
    ("args", "named"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"x": 2}), ((1,), {"z": 2}), ((), {"y": 1})],
)
def test_what_is_missing_or_too_much(args: tuple[int, ...], named: dict[str, int]) -> None:
    """A field that was forgotten, or misspelt, would be passed over."""
    with pytest.raises(TypeError):
        Point(*args, **named)


def test_it_checks_itself_and_travels() -> None:
    """A copy in another process would be another value, or one that was never checked."""
    with pytest.raises(ValueError, match="left of it"):
        Point(-1)
    point = Point(1, 2)
    assert 3 == point.total
    for other in (copy.copy(point), pickle.loads(pickle.dumps(point))):
        assert point == other
        assert "total" not in vars(other)


@pytest.mark.parametrize("cls", [Readings, Record, Signed])
def test_what_is_made_by_hand_has_its_fields(cls: type[Value]) -> None:
    """A field that the hand forgot would be missing, or hold another's value."""
    made = cls(*cls._fields)
    assert dict(zip(cls._fields, cls._fields, strict=True)) == vars(made)
    assert made == cls(**vars(made))
