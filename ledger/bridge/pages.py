"""The bridge's HTTP side: that of a ledger, and what it says of the other one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tallystick.milestone import Confirmed
from tallystick_ledger.bridge import status
from tallystick_ledger.bridge.folder import BridgeFolder
from tallystick_ledger.bridge.outbox import Outbox
from tallystick_ledger.folder import Folder
from tallystick_ledger.pages import Pages

__all__ = ["BridgePages"]

# not what it is called and whom it pays for: that is nobody's business who only asks how it is
_SHOWN: Final = (
    *("account", "counts", "moved", "sent_again", "balance", "budget_a_day", "cost_of_an_anchor"),
    *("interval_s", "spent", "spent_last_day", "cost_per_million_readings", "newest", "trouble"),
    "looked_s_ago",
)


class BridgePages(Pages):
    """`/healthz` and `/metrics` say what was posted as well; a confirmed block carries its transaction."""

    def __init__(
        self,
        folder: Folder,
        connected: Callable[[], bool],
        place: BridgeFolder,
        readings_per_record: int,
    ) -> None:
        super().__init__(folder, connected)
        self._place = place
        self._readings_per_record = readings_per_record

    def facts(self) -> dict[str, Any]:
        """How it stands. `status` is "trouble" while nothing is posted."""
        found = status.facts(self._place, self._readings_per_record)
        facts = super().facts() | {name: found[name] for name in _SHOWN}
        if facts["status"] == "ok" and facts["trouble"]:
            facts["status"] = "trouble"
        return facts

    def carried(self, confirmed: Confirmed) -> Confirmed:
        """The block with the transaction that carries it on the other ledger."""
        with Outbox.open(self._place.database) as outbox:
            digest = outbox.digest_of(confirmed.block.id)
            sent = None if digest is None else outbox.reference(digest)
        return confirmed.replace(transaction=sent)
