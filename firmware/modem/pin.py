"""A PIN, and the card that locks itself. Loaded for it, and forgotten after it.

Rules
* A PIN that the card has refused is never shown again: only another one is.
* The last try is not spent. Where the card says how many are left, two must be; where nobody says, two PINs that did
  not open it are the end. Who has opened the card elsewhere sets the PIN to null, starts the board anew, and sets it.
* Counted before it is shown, so that a power cut in between counts, and over resets. Whose answer was lost may be
  right: it is shown once more.
"""

from binascii import crc32

from micropython import const
from tally import hal

from modem.at import PinError
from modem.cell import taken

_SPENT = const(3)  # tries
_REFUSED = const(4)
_MARK = const(0x7FFFFFF8)  # which PIN it was
_TRIES = const(3)


def show(config, setting, give, left=None):
    """give(PIN) of this setting: None if it is taken, else how many tries are left, -1 where that is not known. left:
    the same before it, None where it is not known. Raises PinError, and what `give` raises."""
    pin = config[setting]
    store = hal.nvs()
    known = hal.number(store, setting)
    if pin is None:
        if known:
            _forget(store, setting)
        raise PinError("it wants a PIN: set %s" % setting)
    mark = crc32(pin.encode()) & _MARK
    spent = known & _SPENT
    if known & _MARK == mark and known & _REFUSED:
        raise PinError("%s was refused: set another one" % setting)
    if spent >= _TRIES - 1 if left is None else left < 2:
        raise PinError(
            "%s is not tried, it may be the last try: open the card elsewhere, set %s null, reset, then set it"
            % (setting, setting)
        )
    safe = taken.get(setting) == pin
    if not safe:
        _note(store, setting, mark | spent + 1)
    left = give(pin)
    if left is None:
        if not safe:
            taken[setting] = pin
            _forget(store, setting)
        return
    taken.pop(setting, None)
    if left >= 0:
        spent = max(0, _TRIES - left)
    else:
        spent += 1
    _note(store, setting, mark | _REFUSED | min(spent, _TRIES))
    how = "" if left < 0 else ", %d tries are left" % left
    raise PinError("%s is wrong%s" % (setting, how) if left else "its PIN is blocked")


def _note(store, setting, number):
    store.set_i32(setting, number)
    store.commit()


def _forget(store, setting):
    store.erase_key(setting)
    store.commit()
