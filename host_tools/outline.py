"""Nested facts as indented lines, their tables aligned: how `tally inspect` writes for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tallystick_host.words import columns, shown

__all__ = ["outline"]

_STEP = "  "
_LINE_CHARS = 4096


def outline(facts: Mapping[str, object], indent: str = "") -> Iterator[str]:
    """`facts` as lines; a mapping or a list indents, a {"columns", "rows"} mapping is a table."""
    for name, value in facts.items():
        yield from _entry(name, value, indent)


def _entry(name: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield f"{indent}{name}:"
        if value.keys() == {"columns", "rows"}:
            rows = [[_scalar(cell) for cell in row] for row in (value["columns"], *value["rows"])]
            yield from columns(rows, indent + _STEP)
        else:
            yield from outline(value, indent + _STEP)
    elif isinstance(value, list) and value and not isinstance(value[0], Mapping | list):
        yield f"{indent}{name}:"
        yield from (f"{indent}{_STEP}{_scalar(item)}" for item in value)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _entry(f"{name}[{number}]", item, indent)
    else:
        yield f"{indent}{name}: {_scalar(value)}"


def _scalar(value: object) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shown(str(value), _LINE_CHARS)
