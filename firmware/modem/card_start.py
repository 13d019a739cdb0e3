"""How a board comes up whose key is, or was, in its SIM card. Loaded for it, and forgotten after it; the rules stand in
modem/card.py."""

import os

from micropython import const
from tally import cose, hal, keys

from modem.apdu import CardError
from modem.at import AtError, PinError
from modem.card import OWNER, CardKey, words
from modem.cell import the

_WAIT_S = const(60)
_SAY_S = const(2)  # whoever is at the console waits, too
_FOLDER = "journal"
_BELONGS = ("head_a", "head_b", "born", "upto", "gone", "halt")
_NAME = "flash_device"  # what keys.DEVICE was, while a card has the board


def load(store, config, log):
    """The key that the settings name. Raises KeyFault where it cannot be, and OSError where it cannot be had now."""
    if config["key"] == "flash":
        # the card's time is over
        key = keys.load(store)
        _turn_to(store, _flash_id(store), log)
        return key
    if config["net"] == "ppp":
        raise keys.KeyFault("a modem in PPP has no time for its SIM card: set net modem")
    key = _await(config, log)
    _turn_to(store, key.kid, log, key.public)
    return key


def _await(config, log):
    """The card's key, as soon as modem and card answer."""
    cell = the(config)
    end = hal.uptime_s() + _WAIT_S + cell.args.get("start_ms", 3000) // 1000
    restarted = False
    said = saying = None
    while True:
        try:
            why = cell.awake()
            if why is None:
                why = cell.card()
            if why is None:
                return CardKey(config)
            refused = False
        except PinError as error:
            # to wait, or to start anew, opens no card
            raise keys.KeyFault("no key: the SIM card says: %s" % error.args[0]) from None
        except (CardError, AtError, ValueError, IndexError) as error:
            why = "the SIM card says: %s" % words(error)
            refused = True
        except OSError as error:
            why = "the modem does not answer %s" % error.args[0]
            refused = False
        left_s = end - hal.uptime_s()
        if why != said or left_s // _SAY_S != saying:
            log(why)
            said = why
            saying = left_s // _SAY_S
        if left_s <= 0:
            raise OSError("no key: " + why)  # a reset tries again, later each time
        if refused and not restarted and left_s < _WAIT_S // 2:
            restarted = True
            try:
                log(cell.restart())
            except OSError:
                pass  # asked again soon
        hal.sleep_ms(500)


def _turn_to(store, kid, log, public=None):
    """Make head and journal those of this identity. public: of a card, None for the key in flash."""
    owner = hal.blob(store, OWNER, 33)
    owner = None if owner is None else bytes(owner)
    if owner != public:
        if hal.blob(store, keys.NEXT, keys.NEXT_BYTES):
            raise keys.KeyFault("a rotation was cut off: start once more with key flash")
        before = cose.kid(owner) if owner else _flash_id(store)
        _keep_name(store, public is None)
        if before is not None and _exists(_FOLDER):
            log("the records of %s are put aside" % before.hex())
            os.rename(_FOLDER, _aside(before))
        for name in _BELONGS:
            try:
                store.erase_key(name)
            except OSError:
                continue  # there was none
        if public is None:
            store.erase_key(OWNER)
        else:
            store.set_blob(OWNER, public)
        store.commit()
    # also after a power cut that came between
    if kid is not None and not _exists(_FOLDER) and _exists(_aside(kid)):
        os.rename(_aside(kid), _FOLDER)


def _flash_id(store):
    """The id of the device that the key in flash is: of the first one, where it was rotated."""
    for name in (keys.DEVICE, _NAME):
        first = hal.blob(store, name, 8)
        if first:
            return bytes(first)
    entry = hal.blob(store, keys.ENTRY, 64)
    return None if entry is None else cose.kid(entry[32:])


def _keep_name(store, back):
    """The id of a rotated key in flash outlasts the time of a card."""
    source, target = (_NAME, keys.DEVICE) if back else (keys.DEVICE, _NAME)
    first = hal.blob(store, source, 8)
    if first:
        store.set_blob(target, first)
        store.erase_key(source)


def _aside(kid):
    return _FOLDER + "-" + kid.hex()


def _exists(path):
    try:
        os.stat(path)
    except OSError:
        return False
    return True
