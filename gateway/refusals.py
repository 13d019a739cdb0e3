"""Refused messages: kept with their reason and raw bytes, within one budget for all senders.

A flood is counted in full (`rejected`); of it, so many a second are kept (`unkept` counts the others), and of
what is kept the oldest goes first (`evicted`).
"""

from __future__ import annotations

from dataclasses import dataclass

from tallystick import limits
from tallystick_gateway import bounds
from tallystick_gateway.examine import Examined
from tallystick_gateway.quota import Bucket
from tallystick_gateway.rows import Rejected
from tallystick_gateway.store import Store

__all__ = ["Refusal", "Refusals"]


@dataclass(frozen=True)
class Refusal:
    """A message that was refused, for the topic `rejected`; `device` is an enrolled one."""

    device: bytes
    code: str
    detail: str
    seq: int | None


class Refusals:
    """The quarantine of one database. All methods are called within a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._load: tuple[int, int] | None = None  # rows and bytes
        self._budget = Bucket(bounds.KEPT_MESSAGES, bounds.KEPT_MESSAGES_S)
        self._unkept = 0

    def keep(self, examined: Examined, code: str, detail: str, clock: float) -> None:
        """Put a message into quarantine, if the budget allows it."""
        if not self._budget.take(1, clock):
            self._unkept += 1
            return
        message = examined.message
        raw = message.payload
        if message.length > limits.RECORD_BYTES:
            raw = raw[: bounds.QUARANTINE_PREFIX]
        rows, held = self._load or self._store.quarantine_load()
        self._store.quarantine(
            Rejected(
                message.at,
                message.topic[: bounds.TOPIC_CHARACTERS],
                examined.device,
                examined.record.seq if examined.record is not None else None,
                code,
                detail,
                message.length,
                raw,
            )
        )
        self._load = (rows + 1, held + len(raw))

    def finish(self) -> dict[str, int]:
        """Make room; what was not kept or had to go, for the counters."""
        evicted = 0
        if self._load is not None:
            rows, held = self._load
            while rows > bounds.QUARANTINE_ROWS or held > bounds.QUARANTINE_BYTES:
                held -= self._store.evict_oldest()
                rows -= 1
                evicted += 1
            self._load = (rows, held)
        unkept, self._unkept = self._unkept, 0
        return {name: by for name, by in (("evicted", evicted), ("unkept", unkept)) if by}

    def forget(self) -> None:
        """The transaction failed: measure again."""
        self._load = None
        self._unkept = 0
