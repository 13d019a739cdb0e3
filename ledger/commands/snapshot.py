"""`tally-ledger snapshot`."""

from __future__ import annotations

from tallystick_ledger.commands.copying import copying
from tallystick_ledger.copies import snapshot

__all__ = ["command"]

command = copying(
    "snapshot",
    "Copy the ledger into FILE without what can be pruned: a node starts to follow from it.",
    snapshot,
)
