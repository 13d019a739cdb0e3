"""One measured value, and whether it passes its bar."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """`bar` is what the value has to reach, in words; empty for a figure that only informs."""

    name: str
    value: float
    unit: str
    bar: str
    ok: bool

    @classmethod
    def at_most(cls, name: str, value: float, unit: str, limit: float) -> Figure:
        """A figure that passes up to `limit`."""
        return cls(name, value, unit, f"<= {limit:g}", value <= limit)

    @classmethod
    def at_least(cls, name: str, value: float, unit: str, limit: float) -> Figure:
        """A figure that passes from `limit` on."""
        return cls(name, value, unit, f">= {limit:g}", value >= limit)
