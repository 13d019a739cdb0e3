"""What the gateway's session at the broker is about: what it wants to hear, and its last will."""

from __future__ import annotations

import json

from tallystick import topics
from tallystick_gateway.folder import Identity

__all__ = ["filters", "last_will"]


def filters(identity: Identity, ledger: bytes) -> list[str]:
    """What the gateway subscribes to."""
    of_ledger = topics.Ledger(ledger)
    return [
        topics.Gateway(identity.id).checkpoint,
        of_ledger.anchor(identity.id),
        of_ledger.milestone,
        of_ledger.tips,
        of_ledger.receipts,
        topics.device_state(),
        topics.device_up(),
    ]


def last_will(identity: Identity) -> tuple[str, bytes]:
    """Topic and payload that the broker publishes when we are gone without a word."""
    return topics.Gateway(identity.id).state, json.dumps({"state": "lost"}).encode()
