"""Whom the board believes: its owner, and the one gateway that the owner has granted.

Rules
* The owner's key is pinned once. Nothing that arrives over the network changes it.
* Of all grants the highest serial holds, for good: it is kept in non-volatile storage, so that a granted
  gateway that was replaced cannot come back by an old grant.
* Forgetting the owner forgets the grant; the serial stays out of the way, the next owner counts anew.
"""

from micropython import const

from tally import hal

OWNER = "owner"
GRANT = "grant"  # serial (8 bytes), gateway key (32 bytes)
COUNTER = "counter"  # of the newest command that was taken (8 bytes)
_GRANT_BYTES = const(40)


class TrustError(Exception):
    """The board may not believe this."""


class Trust:
    """owner, gateway: keys of 32 bytes or None. serial: of the grant in force, -1 without one."""

    def __init__(self, store):
        self.store = store
        owner = hal.blob(store, OWNER, 32)
        grant = hal.blob(store, GRANT, _GRANT_BYTES)
        self.owner = bytes(owner) if owner else None
        self.gateway = bytes(grant[8:]) if grant else None
        self.serial = int.from_bytes(grant[:8], "big") if grant else -1

    def accept(self, data):
        """Take a grant. True if it put another gateway in force, False if it changes nothing. Raises
        TrustError without an owner or on an old serial, MessageError on a message that is not good."""
        from tally.grant import Grant

        if self.owner is None:
            raise TrustError("grant.owner: this board has no owner yet")
        try:
            grant = Grant(data, self.owner)
        finally:
            hal.unload("grant")
        if grant.serial == self.serial and grant.gateway == self.gateway:
            return False
        if grant.serial <= self.serial:
            raise TrustError("grant.serial: %d is not above %d" % (grant.serial, self.serial))
        self.store.set_blob(GRANT, grant.serial.to_bytes(8, "big") + grant.gateway)
        self.store.commit()
        self.serial = grant.serial
        self.gateway = grant.gateway
        return True
