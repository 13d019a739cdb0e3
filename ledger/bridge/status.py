"""What the bridge has done and spent, for people and programs. Reads the database alone, so that it
answers whether the bridge runs or not.
"""

from __future__ import annotations

import time
from typing import Any

from tallystick_ledger.bridge import budget
from tallystick_ledger.bridge.bounds import DAY_S
from tallystick_ledger.bridge.folder import BridgeFolder
from tallystick_ledger.bridge.outbox import Outbox

__all__ = ["facts", "lines"]


def facts(place: BridgeFolder, readings_per_record: int) -> dict[str, Any]:
    """Schema 1. Amounts are coins as decimal text; null where nothing is known yet."""
    with Outbox.open(place.database) as outbox:
        now = int(time.time())
        cost = outbox.fact("cost")
        fees = outbox.spent(0, 0)
        records = outbox.records()
        million = budget.per_million(fees, records)
        moved, again = outbox.moves()
        newest = outbox.newest()
        return {
            "schema": 1,
            "ledger": str(place.ledger.identity()),
            "account": str(outbox.account),
            "gateways": place.gateways.names(),
            "counts": outbox.counts(),
            "moved": moved,
            "sent_again": again,
            "next_nonce": outbox.next_nonce,
            "balance": _coins(outbox.fact("balance")),
            "budget_a_day": _coins(outbox.fact("budget")),
            "cost_of_an_anchor": _coins(cost),
            "interval_s": outbox.fact("interval_s"),
            "spent": budget.coins(fees),
            "spent_last_day": budget.coins(outbox.spent(now - DAY_S, int(cost or 0))),
            "records": records,
            "readings_per_record": readings_per_record,
            "cost_per_million_readings": None
            if million is None
            else budget.coins(million // readings_per_record),
            "newest": None
            if newest is None
            else {
                "nonce": newest.nonce,
                "hash": f"0x{newest.hash.hex()}",
                "state": newest.state,
                "block": newest.executed.number if newest.executed else None,
                "age_s": now - newest.signed,
            },
            "trouble": outbox.fact("trouble") or "",
            "looked_s_ago": None if (at := outbox.fact("looked")) is None else now - at,
        }


def lines(found: dict[str, Any]) -> list[str]:
    """The same in words."""
    counts = found["counts"]
    states = "  ".join(f"{name} {count}" for name, count in counts.items() if count) or "nothing"
    newest = found["newest"]
    rows = [
        ("account", found["account"]),
        ("gateways", str(len(found["gateways"]))),
        ("notes", states),
        ("moved, sent again", f"{found['moved']}, {found['sent_again']}"),
        ("balance", found["balance"] or "not looked up yet"),
        ("an anchor costs", found["cost_of_an_anchor"] or "not looked up yet"),
        (
            "budget a day",
            f"{found['budget_a_day']}: one anchor every {found['interval_s']} s"
            if found["budget_a_day"]
            else "not running yet",
        ),
        ("spent", f"{found['spent']}, {found['spent_last_day']} in the last day"),
        (
            "a million readings",
            f"{found['cost_per_million_readings']} so far"
            f" ({found['records']} records, {found['readings_per_record']} reading(s) each)"
            if found["cost_per_million_readings"] is not None
            else "nothing anchored yet",
        ),
        (
            "newest",
            f"{newest['hash']} {newest['state']}, nonce {newest['nonce']}, {newest['age_s']} s ago"
            if newest
            else "none",
        ),
    ]
    if found["trouble"]:
        rows.append(("not posting", found["trouble"]))
    width = max(len(name) for name, _ in rows)
    return [f"{name.ljust(width)}  {value}" for name, value in rows]


def _coins(amount: str | None) -> str | None:
    return None if amount is None else budget.coins(int(amount))
