"""Values: what a parsed thing is, and that it stays so."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from functools import cached_property

import pytest

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


class Often(Point):
    """Made so often that it has a constructor of its own; its base has one, too."""

    x: int
    z: int = 9


@pytest.fixture(params=["seldom", "often"])
def often(request: pytest.FixtureRequest) -> None:
    """Every test below, before and after the constructors were compiled."""
    if request.param == "often":
        for number in range(60):
            assert Point(number).x == number
            assert (Often(number).x, Often(number).z) == (number, 9)


@pytest.mark.usefixtures("often")
def test_a_class_that_is_made_often_is_the_same() -> None:
    """A million records would be parsed by other rules than the first fifty."""
    assert Point(1) == Point(x=1, y=0) == Point(y=0, x=1)
    assert Often(1, 2).z == Often(1, z=2).z == Often(z=2, x=1).z == 2
    assert "Often(x=1, z=9)" == repr(Often(1))
    with pytest.raises(ValueError, match="left"):
        Point(-1)
    with pytest.raises(ValueError, match="left"):
        Point(1).replace(x=-1)
    assert Point(3) == pickle.loads(pickle.dumps(Point(3))) == copy.copy(Point(3))


@pytest.mark.usefixtures("often")
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
