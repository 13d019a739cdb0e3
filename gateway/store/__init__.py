"""SQLite: the truth about what the gateway holds (schema.sql), a file for each kind of thing in it.

One process writes; any number read, also while it does, and also when nobody has the database open.
"""

from __future__ import annotations

from tallystick_gateway.store.chains import Chains, DeviceLinks
from tallystick_gateway.store.facts import Facts
from tallystick_gateway.store.leaves import Leaves
from tallystick_gateway.store.quarantine import Quarantine
from tallystick_gateway.store.signed import Signed

__all__ = ["DeviceLinks", "Store"]


class Store(Leaves, Chains, Quarantine, Signed, Facts):
    """The database as the gateway uses it: `Store.open` to write, `Store.read` to read."""
