"""What /metrics says, in Prometheus' text format: the facts of /healthz as gauges.

Everything is read when it is asked for, so that a restart sets nothing back. No label holds what somebody posted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["CONTENT_TYPE", "text"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_GAUGES: Final = (
    ("ledger_milestone_index", "index", "index of the newest milestone"),
    ("ledger_confirmed_blocks", "size", "blocks that milestones have confirmed"),
    ("ledger_milestone_timestamp_seconds", "time", "time of the newest milestone, Unix seconds"),
    ("ledger_pending_blocks", "pending", "blocks that wait for a milestone"),
    ("ledger_broker_connected", "broker", "is there a connection to the broker"),
    ("ledger_forked", "status", "was the ledger seen to contradict itself"),
    ("bridge_balance_coins", "balance", "what the paying account holds"),
    ("bridge_anchor_cost_coins", "cost_of_an_anchor", "what an anchor costs now"),
    ("bridge_spent_coins", "spent", "what was spent so far"),
    ("bridge_moved_transactions", "moved", "times that a transaction moved to another block"),
    ("bridge_sent_again_transactions", "sent_again", "times that a transaction was sent again"),
    ("bridge_looked_age_seconds", "looked_s_ago", "since the other ledger was last asked"),
    ("bridge_in_trouble", "trouble", "is there a reason why nothing is posted"),
)
_MEANS: Final = {"connected": 1, "disconnected": 0, "ok": 0, "trouble": 0, "fork": 1}


def text(facts: Mapping[str, Any]) -> str:
    """The whole answer; what is not known yet is left out."""
    lines: list[str] = []
    for name, member, help_text in _GAUGES:
        value = facts.get(member)
        if value is not None:
            lines += _head(name, help_text)
            lines.append(f"tallystick_{name} {_number(member, value)}")
    counts = facts.get("counts")
    if counts is not None:
        lines += _head("bridge_notes", "notes that were taken in, by where they stand")
        lines += [
            f'tallystick_bridge_notes{{state="{state}"}} {count}' for state, count in counts.items()
        ]
    return "\n".join(lines) + "\n"


def _head(name: str, help_text: str) -> list[str]:
    return [f"# HELP tallystick_{name} {help_text}", f"# TYPE tallystick_{name} gauge"]


def _number(member: str, value: Any) -> object:
    if member == "trouble":
        return int(value != "")
    return _MEANS.get(value, value) if isinstance(value, str) else value
