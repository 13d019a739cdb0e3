"""The fingerprint of a board with a modem: IMEI, ICCID and IMSI are part of its hardware (docs/format.md, 4).

Rules
* Kept over a start is the fingerprint, salted, and never what it is made of: the next `open` is signed before the modem
  has said who it is.
* Another modem or another SIM card is another fingerprint: a new `open` says so.
"""

from tally import hal, unload


def parts(cell):
    """What the fingerprint is made of: bytes each; None while the modem has not said who it is."""
    from tally import identity

    if not cell.identity:
        return None
    return identity.hardware() + [text.encode() for text in cell.identity]


def note(config, cell):
    """Keep the fingerprint, and have an `open` signed if it is another one. The modem has a network."""
    from tally import identity

    found = parts(cell)
    if found is not None:
        store = hal.nvs()
        made = identity.hashed(identity.salt(store), found)
        if hal.blob(store, identity.PRINT, 16) != made:
            store.set_blob(identity.PRINT, made)
            store.commit()
            config.changed += 1
    unload("identity")
