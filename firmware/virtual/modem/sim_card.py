"""The SIM card in the simulated modem: a file with a P-256 key, and one of two applets that sign with it.

    card = SimCard(Path("card.json"), "iot-safe")
    card.transmit(bytes.fromhex("00a4040007a0000005590010"))  # (b"", 0x9000)

The card is a thing of its own: give the same file to another board's modem, and the identity moves.
Its key stands in that file, as no real card's does: it is a simulator.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

DONE, MORE, NOT_FOUND, WRONG_DATA, NO_INSTRUCTION = 0x9000, 0x6310, 0x6A88, 0x6A80, 0x6D00
NO_CLASS, ORDER, LENGTH, LOCKED, NO_FILE = 0x6E00, 0x6985, 0x6700, 0x6982, 0x6A82
CHANNELS = 4
PIN = b"1234"
PIN_TRIES = 3
Answer = tuple[bytes, int]


def tlvs(data: bytes) -> dict[int, bytes]:
    """Tag -> value, of tags and lengths of one byte."""
    found, at = {}, 0
    while at + 2 <= len(data):
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


class Key:
    """The card's key pair."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._private: ec.EllipticCurvePrivateKey | None = None
        if path.exists():
            number = int(json.loads(path.read_text())["key"], 16)
            self._private = ec.derive_private_key(number, ec.SECP256R1())

    @property
    def present(self) -> bool:
        """Whether a key was made."""
        return self._private is not None

    def make(self) -> None:
        """Make it, once."""
        self._private = ec.generate_private_key(ec.SECP256R1())
        number = self._private.private_numbers().private_value
        self._path.touch(0o600)
        self._path.write_text(json.dumps({"key": f"{number:064x}"}))

    def point(self) -> bytes:
        """04 X Y."""
        assert self._private is not None
        form = serialization.PublicFormat.UncompressedPoint
        return self._private.public_key().public_bytes(serialization.Encoding.X962, form)

    def sign(self, digest: bytes) -> bytes:
        """DER, with a new random number each time."""
        assert self._private is not None
        return self._private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))


class Application(Protocol):
    """An applet: AID, and the answer to (INS, P1, P2, data)."""

    aid: bytes

    def power(self) -> None:
        """The card gets power: a new session."""

    def answer(self, ins: int, p1: int, p2: int, data: bytes) -> Answer:
        """Data and status word."""


class IotSafeApplet:
    """GSMA IoT SAFE: private key 01, public key 02. der: signatures as some cards give them."""

    aid = bytes.fromhex("a0000005590010")

    def __init__(self, key: Key, *, der: bool = False) -> None:
        self._key = key
        self._der = der
        self.power()

    def power(self) -> None:
        """What is forgotten without power."""
        self._open = False

    def answer(self, ins: int, p1: int, p2: int, data: bytes) -> Answer:
        """One command."""
        given = tlvs(data)
        if ins == 0x84:
            return os.urandom(16), DONE
        if ins == 0xB9:
            if self._key.present or given.get(0x84) != b"\x01":
                return b"", ORDER
            self._key.make()
            return b"", DONE
        if not self._key.present:
            return b"", NOT_FOUND
        if ins == 0xCD:
            if given.get(0x85) != b"\x02":
                return b"", WRONG_DATA
            return bytes.fromhex("344549438641") + self._key.point(), DONE
        if ins == 0x2A and p1 == 1:
            was, self._open = self._open, False
            return b"", DONE if was else ORDER
        if ins == 0x2A:
            good = given.get(0x84) == b"\x01" and given.get(0xA1) == b"\x03"
            self._open = good and given.get(0x91) == b"\x00\x01" and given.get(0x92) == b"\x04"
            return b"", DONE if self._open else WRONG_DATA
        if ins == 0x2B:
            digest = given.get(0x9E, b"")
            if not self._open or p1 != 0x80:
                return b"", ORDER
            if len(digest) != 32:
                return b"", WRONG_DATA
            return self._signature(digest), DONE
        return b"", NO_INSTRUCTION

    def _signature(self, digest: bytes) -> bytes:
        der = self._key.sign(digest)
        if self._der:
            return bytes((0x33, 0, len(der))) + der
        r, s = decode_dss_signature(der)
        return b"\x33\x00\x40" + r.to_bytes(32, "big") + s.to_bytes(32, "big")


class SignitApplet:
    """Giesecke+Devrient SIGNiT, its plain form: entries `ukey` and `_ukey`, made in the factory."""

    aid = bytes.fromhex("d2760001180002ff34108389c0028b02")

    def __init__(self, key: Key) -> None:
        self._key = key
        if not key.present:
            key.make()
        self._tries = PIN_TRIES
        self.power()

    def power(self) -> None:
        """What is forgotten without power: all but the key and the count of wrong PINs."""
        self._unlocked = False
        self._entry = b""
        self._message: bytearray | None = None

    def answer(self, ins: int, p1: int, p2: int, data: bytes) -> Answer:
        """One command."""
        if ins == 0x20:
            return b"", self._verify_pin(data)
        if ins == 0xB9:
            return os.urandom(p1 or 1), DONE
        if ins == 0xA5:
            self._entry = data
            if data != b"ukey":
                return b"", NOT_FOUND
            return b"\xc4\x04ukey\xc0\x10" + hashlib.sha256(self._key.point()).digest()[:16], DONE
        if ins == 0xCB:
            if self._entry != b"ukey":
                return b"", ORDER
            return b"\xc2\x03\x0b\x01\x00\xc3\x41" + self._key.point(), DONE
        if ins == 0xB5:
            if not self._unlocked:
                return b"", LOCKED
            given = tlvs(data)
            if p1 != 0 or given.get(0xC4) != b"_ukey" or given.get(0xD0) != b"\x21":
                return b"", WRONG_DATA
            self._message = bytearray()
            return b"", DONE
        if ins == 0xB6:
            if self._message is None:
                return b"", ORDER
            self._message += data
            if p1 != 0x80:
                return b"", DONE
            digest = hashlib.sha256(self._message).digest()
            self._message = None
            return self._key.sign(digest), DONE
        return b"", NO_INSTRUCTION

    def _verify_pin(self, data: bytes) -> int:
        if self._tries == 0:
            return 0x6983
        if data == PIN:
            self._tries, self._unlocked = PIN_TRIES, True
            return DONE
        self._tries -= 1
        return 0x63C0 | self._tries


class SimCard:
    """Channels, selection, and long answers (ISO 7816-4)."""

    def __init__(self, path: Path, applet: str, *, channels: int = CHANNELS) -> None:
        key = Key(path)
        self._application: Application
        if applet == "signit":
            self._application = SignitApplet(key)
        else:
            self._application = IotSafeApplet(key, der=applet == "iot-safe-der")
        self._channels = channels
        self.power()

    def power(self) -> None:
        """Out of the modem and in again, or the modem starts anew: channels, selection and PIN are forgotten."""
        self._selected: dict[int, bool] = {0: False}
        self._waiting: dict[int, bytes] = {}
        self._application.power()

    def select(self, aid: bytes) -> int | None:
        """A channel of its own with the applet selected, as AT+CCHO asks for; None where there is none."""
        if aid != self._application.aid:
            return None
        for channel in range(1, self._channels):
            if channel not in self._selected:
                self._selected[channel] = True
                return channel
        return None

    def transmit(self, apdu: bytes) -> Answer:
        """The answer to one command; answers of more than the short form wait for GET RESPONSE."""
        if len(apdu) < 4:
            return b"", LENGTH
        cla, ins, p1, p2 = apdu[:4]
        channel = cla & 3
        if channel not in self._selected:
            return b"", 0x6881
        data = apdu[5 : 5 + apdu[4]] if len(apdu) > 5 else b""
        if len(apdu) > 5 and len(data) != apdu[4]:
            return b"", LENGTH
        if cla & 0xFC == 0 and ins == 0x70:
            return self._manage(p1, p2)
        if cla & 0xFC == 0 and ins == 0xA4:
            self._selected[channel] = data == self._application.aid
            return b"", DONE if self._selected[channel] else NO_FILE
        if cla & 0xFC == 0 and ins == 0xC0:
            kept = self._waiting.pop(channel, b"")
            return (kept, DONE) if kept else (b"", ORDER)
        if not self._selected[channel]:
            return b"", NO_CLASS
        answer, word = self._application.answer(ins, p1, p2, data)
        if answer and word == DONE and len(apdu) > 5:
            self._waiting[channel] = answer
            return b"", 0x6100 | len(answer)
        return answer, word

    def _manage(self, p1: int, p2: int) -> Answer:
        if p1 == 0x80:
            self._selected.pop(p2, None)
            return b"", DONE
        for channel in range(1, self._channels):
            if channel not in self._selected:
                self._selected[channel] = False
                return bytes([channel]), DONE
        return b"", 0x6A81
