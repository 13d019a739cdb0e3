"""SQLite: the truth about what the gateway holds (schema.sql), a file for each kind of thing in it.

One process writes; any number read, also while it does, and also when nobody has the database open.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from tallystick_gateway.store.chains import Chains, DeviceLinks
from tallystick_gateway.store.facts import Facts
from tallystick_gateway.store.quarantine import Quarantine
from tallystick_gateway.store.signed import Signed

__all__ = ["DeviceLinks", "Store"]


class Store(Chains, Quarantine, Signed, Facts):
    """The database as the gateway uses it: `Store.open` to write, `Store.read` to read."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """The database for the one process that writes; made if it is not there."""
        store = super().open(path)
        store.index_all()
        return store
