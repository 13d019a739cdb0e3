"""`tally-ledger backup`."""

from __future__ import annotations

from tallystick_ledger.commands.copying import copying
from tallystick_ledger.copies import backup

__all__ = ["command"]

command = copying(
    "backup",
    "Copy the ledger into FILE, also while it runs. The key is not in it: keep that apart.",
    backup,
)
