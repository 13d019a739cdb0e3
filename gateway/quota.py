"""How much a device may send, and how much of what nobody vouches for is kept.

1. Only records that are new and whose signature is good count against a device: nobody can use up
   another's share with forgeries or replays.
2. What is above a share is refused with a code of its own and never acknowledged, so the board keeps
   it and sends it again; nothing is lost.
3. All refused messages together have one budget, whoever sends them: above it they are counted and not
   kept.

Times are of a monotonic clock, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tallystick.chain import Chain
from tallystick.errors import LimitError
from tallystick.record import Record
from tallystick_gateway import bounds

__all__ = ["OVER_SHARE", "Bucket", "Quota", "Shares"]

OVER_SHARE: Final = frozenset({"device.rate", "device.bytes", "device.pending"})


@dataclass
class Bucket:
    """Holds at most `most`, and fills with `rate` a second."""

    most: float
    rate: float
    held: float = field(init=False)
    at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.held = self.most

    def take(self, amount: float, clock: float) -> bool:
        """Take `amount` if there is so much; was there?"""
        if clock > self.at:
            self.held = min(self.most, self.held + (clock - self.at) * self.rate)
            self.at = clock
        if amount > self.held:
            return False
        self.held -= amount
        return True


@dataclass(frozen=True)
class Shares:
    """What one device may send: `records_s` and `bytes_s` a second over time, a backlog of `records`
    and `bytes` at once, and `pending` records above a gap.
    """

    records_s: float = bounds.DEVICE_RECORDS_S
    records: int = bounds.DEVICE_RECORDS
    bytes_s: float = bounds.DEVICE_BYTES_S
    bytes: int = bounds.DEVICE_BYTES
    pending: int = bounds.DEVICE_PENDING


class Quota:
    """What each device has left."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._buckets: dict[bytes, tuple[Bucket, Bucket]] = {}

    def check(self, chain: Chain, record: Record, clock: float) -> None:
        """Count a new, verified record; `LimitError` (`device.rate`, `device.bytes`,
        `device.pending`) if it is above the device's share.
        """
        shares = self._shares
        if chain.missing and record.seq > chain.top:
            upto = chain.missing[0].start
            pending = chain.top + 1 - upto - sum(map(len, chain.missing))
            if pending >= shares.pending:
                raise LimitError(
                    "device.pending",
                    f"{pending} records wait for record {upto}, which is missing",
                    hint="send that one first, or say that it is gone",
                )
        buckets = self._buckets.get(chain.device)
        if buckets is None:
            buckets = Bucket(shares.records, shares.records_s), Bucket(shares.bytes, shares.bytes_s)
            self._buckets[chain.device] = buckets
        if not buckets[0].take(1, clock):
            raise LimitError("device.rate", f"more than {shares.records_s:g} records a second")
        if not buckets[1].take(len(record.raw), clock):
            raise LimitError("device.bytes", f"more than {shares.bytes_s:g} bytes a second")
