"""A value: an object that is what its fields are, and stays so.

The base of what the library parses and gives back. A subclass lists its fields as a frozen dataclass would, and
behaves like one: it is made from its fields, by position or by name, equal if they are equal, and cannot be changed;
`replace` gives a copy with other fields. What it does not do is write and compile six methods for each class when it
is imported, which `tally verify` would wait for longer than for all its signatures (docs/adr/0040).

>>> class Point(Value):
...     x: int
...     y: int = 0
>>> Point(1)
Point(x=1, y=0)
>>> Point(1).replace(y=2) == Point(1, 2)
True
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    NoReturn,
    Self,
    TypeVar,
    dataclass_transform,
    overload,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field

__all__ = ["Value", "computed"]

T = TypeVar("T")


class computed(Generic[T]):  # noqa: N801 # it is written like `property`
    """A property of a value that is computed at its first use and kept.

    As `functools.cached_property`, without the lock that it takes each time before Python 3.12: two threads may
    compute the same thing twice, and a value gives the same both times.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function
        self._name = function.__name__
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> T | Self:
        if instance is None:
            return self
        made = instance.__dict__[self._name] = self._function(instance)
        return made


class _DataclassFields:
    """What `dataclasses.replace`, `fields` and `asdict` ask a class for, made when they ask."""

    def __get__(self, _: object, owner: type[Value]) -> dict[str, Field[Any]]:
        import dataclasses

        made = dataclasses.make_dataclass(owner.__name__, [(name, Any) for name in owner._fields])
        return {field.name: field for field in dataclasses.fields(made)}


@dataclass_transform(frozen_default=True)
class Value:
    """See the module. A subclass may define `__post_init__` to check what it was made from."""

    __dataclass_fields__: ClassVar[Any] = _DataclassFields()
    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}
    _checked: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        """The fields of `cls`, in the order of its lines."""
        # annotations are text here: every module of ours says `from __future__ import annotations`
        cls._fields = tuple(
            name for name, kind in cls.__annotations__.items() if not kind.startswith("ClassVar")
        )
        cls._defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
        cls._checked = cls.__post_init__ is not Value.__post_init__

    def __init__(self, *args: Any, **named: Any) -> None:
        fields, own = self._fields, self.__dict__
        if len(args) == len(fields) and not named:
            own.update(zip(fields, args))  # noqa: B905 # the lengths are the same
        else:
            given = {**dict(zip(fields, args, strict=False)), **named}
            if len(args) + len(named) != len(given) or len(args) > len(fields):
                raise TypeError(
                    f"{type(self).__name__}: a field is given twice, or is one too many"
                )
            for name in fields:
                if name not in given and name not in self._defaults:
                    raise TypeError(f"{type(self).__name__}: {name} is missing")
                own[name] = given.pop(name) if name in given else self._defaults[name]
            if given:
                raise TypeError(f"{type(self).__name__} has no field {next(iter(given))}")
        if self._checked:
            self.__post_init__()

    def __post_init__(self) -> None:
        """Nothing to check."""

    def replace(self, **changes: Any) -> Self:
        """A copy with other fields."""
        return type(self)(**{name: getattr(self, name) for name in self._fields} | changes)

    def __eq__(self, other: object) -> bool:
        if other is self:
            return True
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__name__}({said})"

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """Copied and sent to other processes as its fields, without what was computed from them."""
        return type(self), self._values()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self._fields])
