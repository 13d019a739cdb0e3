"""A key in an IoT SAFE applet (GSMA IOT.05 version 1): ECDSA with P-256; the key never leaves the SIM card.

key = IotSafe(Applet(at, AID), private=b"\x01", public=b"\x02")
key.point(); key.sign(message)
"""

from hashlib import sha256

from modem import p256
from modem.apdu import CardError

AID = b"\xa0\x00\x00\x05\x59\x00\x10"
_CLA = 0x80
_OPERATION = 1  # the number of this signing, of those that an applet may have under way


def _tlv(tag, value):
    return bytes((tag, len(value))) + value


class IotSafe:
    """private, public: ids of the two halves of the key, as the card's issuer has set them. curve_point: (x, y) of the
    key, once it was asked for."""

    def __init__(self, applet, private, public):
        self._applet = applet
        self._private = private
        self._public = public

    def make(self):
        """Have the card make the key (once: it refuses where there is one). Raises CardError."""
        self._applet.ask(_CLA, 0xB9, 0, 0, _tlv(0x84, self._private))

    def point(self):
        """The public key, 33 bytes. Raises CardError, ValueError."""
        data = self._applet.ask(_CLA, 0xCD, 0, 0, _tlv(0x85, self._public))
        at = data.find(b"\x86\x41\x04")
        if at < 0:
            raise ValueError("no public key")
        self.curve_point = p256.point(data[at + 2 : at + 67])
        return p256.compressed(self.curve_point)

    def random(self, count):
        """Random bytes of the card's."""
        return self._applet.ask(_CLA, 0x84, 0, 0, b"", count)

    def sign(self, message):
        """The signature of a message, 64 bytes. Raises CardError, ValueError."""
        applet = self._applet
        try:
            applet.ask(_CLA, 0x2A, 1, _OPERATION, b"", 0)  # one that was left under way
        except CardError:
            pass  # there was none
        begin = _tlv(0x84, self._private) + b"\xa1\x01\x03" + b"\x91\x02\x00\x01" + b"\x92\x01\x04"
        applet.ask(_CLA, 0x2A, 0, _OPERATION, begin)
        data = applet.ask(_CLA, 0x2B, 0x80, _OPERATION, _tlv(0x9E, sha256(message).digest()))
        applet.ask(_CLA, 0x2A, 1, _OPERATION, b"", 0)
        # 33 00 40 r s; some cards have a length of one byte, some give DER
        if len(data) < 3 or data[0] != 0x33:
            raise ValueError("no signature")
        at = 2 if data[1] else 3
        return p256.signature(data[at : at + data[at - 1]])
