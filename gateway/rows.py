"""What the database hands out: its rows as values (schema.sql says what the columns mean)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Anchor", "DeviceRow", "Rejected", "StoredCheckpoint"]


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint that this gateway signed: `note` is the signed note."""

    size: int
    root: bytes
    note: bytes


@dataclass(frozen=True)
class Anchor:
    """An anchor block and what the ledger said of it; `size` is that of its checkpoint."""

    id: bytes
    origin: str
    size: int
    block: bytes
    state: str
    detail: str
    built: int
    confirmed: bytes | None


@dataclass(frozen=True)
class DeviceRow:
    """A device that has sent something verified; `state` is `Chain.dump`."""

    device: bytes
    did: str
    state: bytes | None
    last_seen: int | None


@dataclass(frozen=True)
class Rejected:
    """A message that was refused; `raw` is its start if `length` is larger."""

    at: int
    topic: str
    device: bytes | None
    seq: int | None
    code: str
    detail: str
    length: int
    raw: bytes
