"""A key in the SIGNiT applet of Giesecke+Devrient: ECDSA with P-256 over what the card hashes itself.

Of the applet's forms only the plain one is used: its own signed and chained packets are another format.

    key = Signit(Applet(at, AID, channels=False), b"ukey")
    key.unlock(pin); key.point(); key.sign(message)
"""

from modem import p256
from modem.at import Silent

AID = b"\xd2\x76\x00\x01\x18\x00\x02\xff\x34\x10\x83\x89\xc0\x02\x8b\x02"
_ECDSA_SHA256 = b"\xd0\x01\x21"


def _tlv(tag, value):
    return bytes((tag, len(value))) + value


class Signit:
    """entry: the id of the public key; the private one has the same with `_` before it. curve_point: (x, y) of the key,
    once it was asked for."""

    def __init__(self, applet, entry=b"ukey"):
        self._applet = applet
        self._entry = entry

    def unlock(self, pin):
        """Show the PIN (ASCII digits), once: an answer that was garbled may have counted. CardError 63Cx: wrong, x
        tries left. Raises Silent."""
        try:
            self._applet.ask(0, 0x20, 0, 0, pin, None, 1)
        except Silent:
            raise Silent("the PIN") from None  # what was sent holds it

    def point(self):
        """The public key, 33 bytes. Raises CardError, ValueError."""
        self._applet.ask(0x80, 0xA5, 0, 0, self._entry)
        data = self._applet.ask(0x80, 0xCB, 0, 0, b"\xd0\x01\x00")
        at = data.find(b"\xc3\x41\x04")
        if at < 0:
            raise ValueError("no public key")
        self.curve_point = p256.point(data[at + 2 : at + 67])
        return p256.compressed(self.curve_point)

    def sign(self, message):
        """The signature of a message, 64 bytes. Raises CardError, ValueError."""
        applet = self._applet
        applet.ask(0x80, 0xB5, 0, 0, _tlv(0xC4, b"_" + self._entry) + _ECDSA_SHA256)
        at = 0
        # once each: a part that was taken, and whose answer was garbled, would be hashed twice
        while len(message) - at > applet.block:
            applet.ask(0x80, 0xB6, 0, 0, bytes(message[at : at + applet.block]), None, 1)
            at += applet.block
        return p256.signature(applet.ask(0x80, 0xB6, 0x80, 0, bytes(message[at:]), None, 1))
