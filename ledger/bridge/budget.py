"""What may be spent, and how often that lets the bridge post. Pure arithmetic; amounts are whole
numbers of the smallest unit of the other ledger's coin (10^-18), times are seconds.

>>> interval_s(cost=470_000_000_000_000, budget=100_000_000_000_000_000)
406.08
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

from tallystick_ledger.bridge.bounds import DAY_S, POLL_S
from tallystick_ledger.errors import LedgerError

__all__ = ["coins", "interval_s", "per_million", "units", "wait_s"]

UNIT: Final = 10**18


def units(amount: str) -> int:
    """`amount` of coins, a decimal number above 0, in the smallest unit."""
    try:
        value = Decimal(amount) * UNIT
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value < 1 or value > UNIT * 10**9:
        raise LedgerError(f"'{amount}' is not an amount of coins", hint="as in --budget 0.5")
    return int(value)


def coins(amount: int) -> str:
    """The amount in coins, without an exponent."""
    return f"{(Decimal(amount) / UNIT).normalize():f}"


def interval_s(cost: int, budget: int) -> float:
    """Seconds between two transactions of this cost, so that a day of them costs the budget."""
    return DAY_S * cost / budget


def wait_s(*, now: int, last: int | None, spent: int, cost: int, budget: int) -> float:
    """Seconds until the next transaction may be signed. `last`: when the one before was; `spent`:
    in the day that ends now.
    """
    every = interval_s(cost, budget)
    # a budget for more than one in a second is not spread over that second
    wait = last + every - now if last is not None and every >= POLL_S else 0.0
    # a price that rose since may have used up the day already; look again in a minute
    if spent + cost > budget:
        wait = max(wait, 60.0)
    return max(0.0, wait)


def per_million(fees: int, count: int) -> int | None:
    """What a million of something costs if `count` of it cost `fees`."""
    return fees * 1_000_000 // count if count else None
