"""The board's key where it is in the SIM card (setting `key`: iot-safe or signit): ECDSA P-256, and it never leaves it.

Rules
* The identity is the card's. A board that finds another card than before puts the records of the old identity aside,
  forgets its head, and is the new one: without a head it signs nothing until its gateway has said where the chain
  goes on (tally/chain.py). With the old card back, its records are there again.
* The key is compared whenever the applet is opened anew: a card that was exchanged under a running board signs nothing.
* A card that was away may have gone on in another board: see modem/chain.py.
* Every signature is verified before it is used.
* What the card does not sign now (`Unsigned`) is tried again; readings wait in memory meanwhile. A card that signs
  nothing for long gets new power, by its modem.
* An empty IoT SAFE applet is told to make its key, once.
"""

from hashlib import sha256

from micropython import const
from tally import cose, hal, keys
from tally.chain import Unsigned

from modem import once
from modem.apdu import Applet, CardError
from modem.cell import the

ESP256 = const(-9)  # RFC 9864
_ALG_AT = const(15)  # in what is signed: where the header has its algorithm
_ALG = const(0x28)  # -9 in CBOR
OWNER = "sim"  # public key of the card that head and journal belong to
_PLACE = "card_at"  # where the applet was left: see modem/apdu.py
_NOT_OURS = ("6881", "6E00")  # no such channel; no such class, which another applet says
_GONE_S = const(60)  # a card that was itself so lately was in no other board meanwhile
_SIGN_MS = const(30000)
_STUCK_S = const(600)
_WORDS = {
    "0000": "the modem gives no way to the SIM card",
    "6A82": "there is no such applet: see card_args",
    "6982": "it wants a PIN",
    "6A88": "there is no such key: see card_args",
}


class CardKey(keys.Key):
    """The key of this board. public: 33 bytes. stayed: at the start, whether the card cannot have been in another board
    since this one used it last (docs/adr/0053). away: the same was doubted since; no record is signed before
    modem/chain.py has taken it up."""

    alg = ESP256

    def __init__(self, config):
        self._config = config
        self._cell = the(config)
        self._at = self._cell.at
        self._applet = None
        self._card = None
        self._seen = None  # when the card was itself last
        self._stuck = (
            hal.uptime_s()
        )  # since when it does not sign, or the modem was started anew for it
        self.public = None
        self.away = False
        self.stayed = self.open(True)
        self.kid = cose.kid(self.public)

    def open(self, again):
        """Find the applet where it was left (again), or select it. Whether the card has been here all the time. Raises
        CardError, OSError, ValueError, and KeyFault where it is another card."""
        at = self._at
        if at.doubt:
            at.begin(1)
        store = hal.nvs()
        if again and self._return(hal.number(store, _PLACE)):
            return True
        self.close()
        self._card = None
        card = self._made(None)
        if self._config["key"] == "signit":
            once("pin", "show", self._config, "card_pin", lambda digits: _unlock(card, digits))
        seen = self._seen
        self._take(card, self._point(card))
        if hal.number(store, _PLACE) != self._applet.place:
            store.set_i32(_PLACE, self._applet.place)
            store.commit()
        if self._applet.place:
            return seen is not None and self._seen - seen <= _GONE_S
        # on the basic channel nothing stays where it was left: the board's own power is all that is known
        return seen is not None or not _powered_on()

    def _return(self, place):
        """Whether the applet is where it was left, with the key that it had. Then the card had power all the time."""
        known = self.public or hal.blob(hal.nvs(), OWNER, 33)
        if not place or not known:
            return False
        try:
            card = self._made(place)
            if card.point() != bytes(known):
                return False
        except (CardError, ValueError, IndexError) as error:
            if error.args and error.args[0] in _NOT_OURS:
                self._applet = None  # closed with the card's power; or it is the modem's own by now
            return False
        self._take(card, bytes(known))
        return True

    def _made(self, place):
        """The applet's driver, the applet selected anew unless it is at `place`."""
        args = self._config["card_args"]
        if self._config["key"] == "signit":
            from modem import signit as kind

            make, names = kind.Signit, (args.get("entry", "ukey").encode(),)
        else:
            from modem import iot_safe as kind

            make = kind.IotSafe
            names = tuple(
                bytes.fromhex(args.get(half, known))
                for half, known in (("private", "01"), ("public", "02"))
            )
        aid = bytes.fromhex(args.get("aid", "")) or kind.AID
        self._applet = Applet(self._at, aid, args.get("block", 64), args.get("channel", 1), place)
        return make(self._applet, *names)

    def _take(self, card, public):
        if self.public is not None and public != self.public:
            raise keys.KeyFault("there is another SIM card")
        self.public = public
        self._card = card
        self._seen = hal.uptime_s()

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
        self._at.within(_SIGN_MS)
        try:
            signature = self._signature(signed, identity, typ == cose.RECORD)
        finally:
            self._at.within(None)
        return cose.sealed(draft, signature), identity

    def _signature(self, signed, digest, is_record):
        """Raises Unsigned, and KeyFault where it is another card."""
        why = "the modem does not answer"
        for again in (None, True, False):
            try:
                if not self._in_step():
                    break
                # what was refused for a moment is found where it was; a modem that started anew has forgotten it
                if again is not None and not self.open(again):
                    self.away = True
                if self.away and is_record:
                    why = "it may have been in another board"
                    break
                if self._card is not None:
                    signature = self._card.sign(signed)
                    # another key behind the same name, or a bit that the line has turned
                    if not _verifies(self._card.curve_point, digest, signature):
                        raise CardError("a wrong signature")
                    self.trouble = None
                    self._seen = self._stuck = hal.uptime_s()
                    return signature
            except (CardError, OSError, ValueError, IndexError) as error:
                why = words(error)
        if self.trouble is None:
            print("# the SIM card does not sign: %s" % why)
        self.trouble = why
        if not self._at.doubt and hal.uptime_s() - self._stuck > _STUCK_S:
            self._stuck = hal.uptime_s()
            self._revive()
        raise Unsigned("the SIM card does not sign: %s" % why)

    def _in_step(self):
        """Whether the modem can be asked. A link that goes through it gets it back in step by itself."""
        return not self._at.doubt or (not self._cell.routed and self._cell.awake() is None)

    def _revive(self):
        """A card that does not sign for long: the modem gives it new power."""
        try:
            self._cell.restart()
        except OSError:
            pass  # the link gets the modem back


def _unlock(card, digits):
    """See pin.show."""
    try:
        card.unlock(digits.encode())
    except CardError as error:
        word = error.args[0]
        if word[:3] == "63C":
            return int(word[3], 16)
        if word == "6983":
            return 0
        if word in ("6700", "6A80"):
            return -1  # no PIN of such a length
        raise
    return None


def _verifies(key, digest, signature):
    return once("p256_verify", "verifies", key, digest, signature)


def words(error):
    """What a card or the modem said, for a person."""
    said = error.args[0] if error.args else "?"
    return _WORDS.get(said, said)


def _powered_on():
    import machine

    return machine.reset_cause() == machine.PWRON_RESET


def load(store, config, log):
    """The key that the settings name. Raises KeyFault where it cannot be, and OSError where it cannot be had now."""
    return once("card_start", "load", store, config, log)
