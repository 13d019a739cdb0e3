"""How the page writes times, ages, numbers and hashes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

__all__ = ["ago", "iso", "number", "short", "span", "unit", "when"]

_SHOWN: Final = {"Cel": "°C", "%RH": "% RH", "m3": "m³", "m2": "m²", "m/s2": "m/s²", "Ohm": "Ω"}
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def when(time: float | None) -> str:
    """2026-11-20 14:02:11, in UTC."""
    if time is None:
        return "never"
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(time: float | None) -> str:
    """For machines."""
    return "" if time is None else datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """7 s, 12 min, 3 h, 9 d."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def ago(time: float | None, now: float) -> str:
    """How long ago; a time ahead of ours is called by its name."""
    if time is None:
        return "never"
    if time > now + 60:
        return f"in {span(time - now)}"
    return f"{span(max(0.0, now - time))} ago" if now - time >= 1 else "just now"


def number(value: int | None) -> str:
    """12 345 678, with narrow spaces."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")


def unit(senml: str | None) -> str:
    """A SenML unit as people write it."""
    return _SHOWN.get(senml or "", senml or "")


def short(value: bytes | str) -> str:
    """The first 8 hex digits."""
    return (value.hex() if isinstance(value, bytes) else value)[:8]
