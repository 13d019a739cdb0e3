"""The board's key where it is in the SIM card (setting `key`: iot-safe or signit): ECDSA P-256, and it never leaves it.

Rules
* The identity is the card's. A board that finds another card than before puts the records of the old identity aside,
  forgets its head, and is the new one: without a head it signs nothing until its gateway has said where the chain
  goes on (tally/chain.py). With the old card back, its records are there again.
* The key is compared whenever the applet is opened anew: a card that was exchanged under a running board signs nothing.
* What the card does not sign now (`Unsigned`) is tried again; readings wait in memory meanwhile.
* An empty IoT SAFE applet is told to make its key, once.
"""

import os
from hashlib import sha256

from micropython import const
from tally import cose, hal, keys
from tally.chain import Unsigned

from modem.apdu import Applet, CardError
from modem.at import AtError
from modem.cell import show_pin, the

ESP256 = const(-9)  # RFC 9864
_ALG_AT = const(15)  # in what is signed: where the header has its algorithm
_ALG = const(0x28)  # -9 in CBOR
_OWNER = "sim"  # public key of the card that head and journal belong to
_WAIT_S = const(60)
_FOLDER = "journal"
_BELONGS = ("head_a", "head_b", "born", "upto", "gone", "halt")
_NAME = "flash_device"  # what keys.DEVICE was, while a card has the board


class CardKey(keys.Key):
    """The key of this board. public: 33 bytes."""

    alg = ESP256

    def __init__(self, config):
        self._config = config
        self._at = the(config).at
        self._applet = None
        self._card = None
        self.public = None
        self.open()
        self.kid = cose.kid(self.public)

    def open(self):
        """Select the applet. Raises CardError, OSError, ValueError, and KeyFault where it is another card."""
        args = self._config["card_args"]
        at = self._at
        if at.doubt:
            at.begin(1)
        self.close()
        aid = bytes.fromhex(args.get("aid", ""))
        if self._config["key"] == "signit":
            from modem import signit

            self._applet = Applet(
                at, aid or signit.AID, args.get("block", 64), args.get("channel", 1)
            )
            card = signit.Signit(self._applet, args.get("entry", "ukey").encode())
            show_pin(self._config, "card_pin", lambda pin: card.unlock(pin.encode()))
        else:
            from modem import iot_safe

            self._applet = Applet(
                at, aid or iot_safe.AID, args.get("block", 64), args.get("channel", 1)
            )
            private, public = args.get("private", "01"), args.get("public", "02")
            card = iot_safe.IotSafe(self._applet, bytes.fromhex(private), bytes.fromhex(public))
        point = self._point(card)
        if self.public is not None and point != self.public:
            raise keys.KeyFault("there is another SIM card")
        self.public = point
        self._card = card

    def _point(self, card):
        try:
            return card.point()
        except CardError as error:
            if (
                self.public is not None
                or self._config["key"] == "signit"
                or error.args[0] == "0000"
            ):
                raise
        card.make()
        return card.point()

    def close(self):
        """Give the applet back: the next signature opens it anew."""
        if self._applet is not None:
            try:
                self._applet.close()
            except OSError:
                pass  # the modem went first
        self._applet = self._card = None

    def seal(self, draft, typ):
        signed = cose.to_sign(draft, self.kid, typ)
        signed[_ALG_AT] = _ALG
        identity = sha256(signed).digest()
        return cose.sealed(draft, self._signature(signed)), identity

    def _signature(self, signed):
        """Raises Unsigned, and KeyFault where it is another card."""
        why = "the modem does not answer"
        for _ in range(2):  # a modem that was started anew has forgotten the applet
            if self._at.doubt:
                break  # the link gets it back in step
            try:
                if self._card is None:
                    self.open()
                signature = self._card.sign(signed)
                self.trouble = None
                return signature
            except (CardError, OSError, ValueError, IndexError) as error:
                self._card = None
                why = error.args[0] if error.args else "?"
        if self.trouble is None:
            print("# the SIM card does not sign: %s" % why)
        self.trouble = why
        raise Unsigned("the SIM card does not sign: %s" % why)


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
    said = None
    while True:
        try:
            why = cell.awake()
            if why is None:
                why = cell.card()
            if why is None:
                return CardKey(config)
        except (CardError, AtError, ValueError, IndexError) as error:
            why = "the SIM card says %s" % (error.args[0] if error.args else "?")
        except OSError as error:
            why = "the modem does not answer %s" % error.args[0]
        if why != said:
            log(why)
            said = why
        if hal.uptime_s() >= end:
            raise OSError("no key: " + why)  # a reset tries again, later each time
        hal.sleep_ms(500)


def _turn_to(store, kid, log, public=None):
    """Make head and journal those of this identity. public: of a card, None for the key in flash."""
    owner = hal.blob(store, _OWNER, 33)
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
            store.erase_key(_OWNER)
        else:
            store.set_blob(_OWNER, public)
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
