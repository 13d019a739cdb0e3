"""Whom the board believes: its owner, and the one gateway that the owner has granted.

Rules
* The owner's key is pinned once. Nothing that arrives over the network changes it.
* Of all grants the highest serial holds, for good: it is kept in non-volatile storage, so that a granted
  gateway that was replaced cannot come back by an old grant.
* Forgetting the owner forgets the grant; the serial stays out of the way, the next owner counts anew.
"""

from micropython import const

from tally import cose, hal, once, signer, unload

OWNER = "owner"
GRANT = "grant"  # serial (8 bytes), gateway key (32 bytes)
COUNTER = "counter"  # of the newest command that was taken (8 bytes)
UPDATES = "upd_key"  # that signs updates (32 bytes)
UPDATES_TAKEN = "upd_counter"  # of the newest update that was taken (8 bytes)
GRANT_BYTES = const(40)


class TrustError(Exception):
    """The board may not believe this."""


class MessageError(Exception):
    """The message is malformed, or not from whom it must be. Its text is a code of docs/format.md, 15."""


def opened(waiting, public, typ):
    """The payload of a message that this key signed for this purpose. waiting: a list of the message alone, which is
    taken out of it. Raises MessageError.

    Nothing else is in the memory meanwhile: what took the message apart has left, what verifies it leaves."""
    try:
        signed, signature, at = once("envelope", "parts", waiting.pop(), public, typ)
        if not signer.verify(public, signed, signature):
            raise MessageError("message.signature")
        return signed[at:]
    finally:
        unload("ed25519_verify")


class Trust:
    """owner, gateway: keys of 32 bytes or None. serial: of the grant in force, -1 without one."""

    def __init__(self, store):
        self.store = store
        owner = hal.blob(store, OWNER, 32)
        grant = hal.blob(store, GRANT, GRANT_BYTES)
        self.owner = bytes(owner) if owner else None
        self.gateway = bytes(grant[8:]) if grant else None
        self.serial = int.from_bytes(grant[:8], "big") if grant else -1

    def accept(self, waiting):
        """Take a grant. waiting: as in `opened`. True if it put another gateway in force, False if it changes nothing.
        Raises TrustError without an owner or on an old serial, MessageError on a message that is not good."""
        if self.owner is None:
            raise TrustError("grant.owner: this board has no owner yet")
        try:
            payload = opened(waiting, self.owner, cose.GRANT)
            return once("grant", "accept", self, payload)
        finally:
            unload("message", "decode")
