"""Keys of gateways, as far as the broker's retained grants show them.

A grant holds the gateway's key, and a gateway's id is the kid of its key: the key fits the id or it
does not, whoever sent it. No trust comes from here. It keeps notes that a gateway did not sign from
standing under its name: an anchor with a made-up size would hide from a restored gateway how far its
log had come.
"""

from __future__ import annotations

from tallystick import message
from tallystick.checkpoint import Checkpoint
from tallystick.errors import TallystickError
from tallystick.keys import PublicKey
from tallystick.note import VerifierKey
from tallystick_ledger.limits import GATEWAY_KEYS

__all__ = ["Gateways"]


class Gateways:
    """The keys that were shown since the process started, by kid."""

    def __init__(self) -> None:
        self._keys: dict[bytes, VerifierKey] = {}

    def learn(self, raw: bytes) -> None:
        """Take the key out of a grant; bytes that are none are left alone."""
        try:
            grant = message.parse_grant(raw)  # refuses an origin that is not the key's own
            key = VerifierKey(grant.origin, grant.key)
        except TallystickError:
            return
        if len(self._keys) < GATEWAY_KEYS:
            self._keys[grant.key.kid] = key

    def key(self, gateway: bytes) -> PublicKey | None:
        """The key with this kid."""
        found = self._keys.get(gateway)
        return None if found is None else found.key

    def check(self, gateway: bytes, note: Checkpoint) -> bool:
        """True if `gateway` is known and signed the note, False if it is not known; a `TallystickError` if it
        is known and did not sign.
        """
        key = self._keys.get(gateway)
        if key is None:
            return False
        note.verify(key)
        return True
