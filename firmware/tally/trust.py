"""Whom the board believes: its owner, and the one gateway that the owner has granted.

Rules
* The owner's key is pinned once. Nothing that arrives over the network changes it.
* Of all grants the highest serial holds, for good: it is kept in non-volatile storage, so that a granted
  gateway that was replaced cannot come back by an old grant.
* Forgetting the owner forgets the grant; the serial stays out of the way, the next owner counts anew.
"""

from micropython import const

from tally import hal

_OWNER = "owner"
_GRANT = "grant"  # serial (8 bytes), gateway key (32 bytes)
_GRANT_BYTES = const(40)


class TrustError(Exception):
    """The board may not believe this."""


class Trust:
    """owner, gateway: keys of 32 bytes or None. serial: of the grant in force, -1 without one."""

    def __init__(self, store):
        self._store = store
        owner = hal.blob(store, _OWNER, 32)
        grant = hal.blob(store, _GRANT, _GRANT_BYTES)
        self.owner = bytes(owner) if owner else None
        self.gateway = bytes(grant[8:]) if grant else None
        self.serial = int.from_bytes(grant[:8], "big") if grant else -1

    def pin(self, owner):
        """Pin the owner's key. The same key again is no change; another one raises TrustError."""
        if self.owner == owner:
            return
        if self.owner is not None:
            raise TrustError("this board has another owner")
        if len(owner) != 32:
            raise TrustError("a key has 32 bytes")
        self._store.set_blob(_OWNER, owner)
        self._store.commit()
        self.owner = bytes(owner)

    def forget(self):
        """Forget the owner and the grant."""
        for entry in (_GRANT, _OWNER):
            if hal.blob(self._store, entry, _GRANT_BYTES if entry == _GRANT else 32):
                self._store.erase_key(entry)
        self._store.commit()
        self.owner = None
        self.gateway = None
        self.serial = -1

    def accept(self, data):
        """Take a grant. True if it put another gateway in force, False if it changes nothing. Raises
        TrustError without an owner or on an old serial, MessageError on a message that is not good."""
        from tally.message import Grant

        if self.owner is None:
            raise TrustError("this board has no owner yet")
        grant = Grant(data, self.owner)
        if grant.serial == self.serial and grant.gateway == self.gateway:
            return False
        if grant.serial <= self.serial:
            raise TrustError("serial %d is not above %d" % (grant.serial, self.serial))
        self._store.set_blob(_GRANT, grant.serial.to_bytes(8, "big") + grant.gateway)
        self._store.commit()
        self.serial = grant.serial
        self.gateway = grant.gateway
        return True
