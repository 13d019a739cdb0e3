"""Pinning the owner's key, once, and forgetting it. Loaded for a command, then forgotten; the rules are in trust.py."""

from tally import hal
from tally.trust import COUNTER, GRANT, OWNER, UPDATES, UPDATES_TAKEN, TrustError


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


def pin_updates(store, key):
    """Pin the key that signs updates. The same key again is no change; another one raises TrustError."""
    held = hal.blob(store, UPDATES, 32)
    if held == key:
        return
    if held:
        raise TrustError("this board has another update key")
    store.set_blob(UPDATES, key)
    store.commit()


def forget(trust):
    """Forget the owner, the grant, the update key, and what was counted: the next owner counts anew."""
    known = ((GRANT, 40), (COUNTER, 8), (UPDATES, 32), (UPDATES_TAKEN, 8), (OWNER, 32))
    for entry, length in known:
        if hal.blob(trust.store, entry, length):
            trust.store.erase_key(entry)
    trust.store.commit()
    trust.owner = None
    trust.gateway = None
    trust.serial = -1
