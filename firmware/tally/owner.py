"""Pinning the owner's key, once, and forgetting it. Loaded for a command, then forgotten; the rules are in trust.py."""

from tally import hal
from tally.trust import COUNTER, GRANT, OWNER, TrustError


def pin(trust, owner):
    """Pin the owner's key. The same key again is no change; another one raises TrustError."""
    if trust.owner == owner:
        return
    if trust.owner is not None:
        raise TrustError("this board has another owner")
    if len(owner) != 32:
        raise TrustError("a key has 32 bytes")
    trust.store.set_blob(OWNER, owner)
    trust.store.commit()
    trust.owner = bytes(owner)


def forget(trust):
    """Forget the owner, the grant, and the counter of commands: the next owner counts anew."""
    for entry, length in ((GRANT, 40), (COUNTER, 8), (OWNER, 32)):
        if hal.blob(trust.store, entry, length):
            trust.store.erase_key(entry)
    trust.store.commit()
    trust.owner = None
    trust.gateway = None
    trust.serial = -1
