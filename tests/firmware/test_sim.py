"""Keys in SIM cards: the recorded sessions of real cards, and the simulated ones over a real serial line.

If these fail, a board with its identity in a SIM card cannot sign, or signs what no verifier takes.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from tests import parts
from tests.firmware import cellular

FIRMWARE = parts.ROOT / "firmware"
ON_BOARD = parts.ROOT / "tests" / "firmware" / "on_board"
RECORDED = parts.ROOT / "tests" / "vectors" / "published" / "signit"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def on_host(name: str) -> ModuleType:
    """One of the board's modules, in this Python."""
    stub = ModuleType("micropython")
    stub.__dict__["const"] = lambda value: value
    sys.modules["micropython"] = stub
    sys.path.insert(0, str(FIRMWARE))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FIRMWARE))
        del sys.modules["micropython"]  # other modules do without it, here


at, apdu, signit, p256 = map(on_host, ("modem.at", "modem.apdu", "modem.signit", "modem.p256"))


class Replay:
    """A modem that says what a recorded one said, and takes nothing but what it was asked then."""

    def __init__(self, exchanges: list[tuple[str, list[str]]]) -> None:
        self._exchanges = exchanges
        self._ready = b""
        self._echo = True
        self._typed = b""
        self.wrong: list[tuple[str, str]] = []

    def read(self, size: int) -> bytes | None:
        """What it says."""
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece or None

    def write(self, data: bytes) -> None:
        """What it hears."""
        for line in (self._typed + data).replace(b"\x1b", b"").split(b"\r")[:-1]:
            self._obey(line.decode())
        self._typed = (self._typed + data).rpartition(b"\r")[2]

    def _obey(self, line: str) -> None:
        if not line:
            return
        if self._echo:
            self._ready += line.encode() + b"\r\n"
        if line in (
            "ATE0",
            "ATE1",
            "AT+CSIM=?",
        ):  # of the driver's own; every recorded modem takes them
            self._echo = line == "ATE1" or (self._echo and line != "ATE0")
            self._ready += b"OK\r\n"
        elif not line.startswith("AT+CSIM"):
            self._ready += b"ERROR\r\n"
        else:
            wanted, said = self._exchanges.pop(0)
            if wanted.upper() != line.upper():
                self.wrong.append((wanted, line))
            self._ready += "".join(f"{text}\r\n" for text in said).encode()


def replayed(name: str) -> Replay:
    """A recorded session."""
    found = json.loads((RECORDED / "sessions.json").read_text())[name]
    return Replay([(one["sent"], one["answer"]) for one in found])


def board_end(line: Any) -> Any:
    """The AT core on a line that takes no time."""
    clock = iter(range(0, 10**9, 5))
    return at.At(line, lambda: next(clock), lambda later, earlier: later - earlier, lambda: None)


def verifies(point: bytes, signature: bytes, message: bytes) -> bool:
    """What the library that verifiers use says of r || s."""
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return s <= ORDER // 2


def test_a_recorded_card_is_asked_as_it_was_then() -> None:
    """Select, PIN, public key and a plain signature: byte for byte, and the signature is the card's."""
    line = replayed("plain signature")
    card = signit.Signit(apdu.Applet(board_end(line), signit.AID, channels=False), b"ukey")
    facts = json.loads((RECORDED / "sessions.json").read_text())["facts"]
    card.unlock(facts["pin"].encode())
    point = card.point()
    assert point.hex() == facts["compressed"]
    message = bytes.fromhex(facts["message"])
    assert verifies(point, card.sign(message), message)
    assert line.wrong == []
    assert line._exchanges == []


@given(r=st.integers(1, ORDER - 1), s=st.integers(1, ORDER - 1))
def test_every_form_of_a_signature_becomes_one(r: int, s: int) -> None:
    """A high s, or DER with integers of any length, would be refused by every verifier."""
    expected = r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")
    encoded = encode_dss_signature(r, s)
    # DER of 64 bytes cannot be told from r || s; a card makes one in 2^46 signatures
    assert len(encoded) == 64 or p256.signature(encoded) == expected
    assert p256.signature(r.to_bytes(32, "big") + s.to_bytes(32, "big")) == expected


@pytest.mark.parametrize(
    "bad", [b"", bytes(64), b"\xff" * 64, b"\x30\x02\x02\x00", b"\x31" + bytes(70), bytes(63)]
)
def test_what_is_no_signature_is_refused(bad: bytes) -> None:
    """A card's mistake must not end in a record that nobody can verify."""
    with pytest.raises((ValueError, IndexError)):
        p256.signature(bad)


def signed(folder: Path, kind: str, messages: list[bytes]) -> list[list[str]]:
    """What a board with this card answers: its public key, then a signature for each message."""
    done = subprocess.run(
        [*parts.micropython64(), str(ON_BOARD / "sim.py"), str(FIRMWARE), kind]
        + [message.hex() or "-" for message in messages],
        cwd=folder / "flash",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    return [line.split() for line in done.stdout.splitlines()]


MESSAGES = [b"", b"abc", bytes(range(100, 220))]  # more than the card takes at once


@pytest.mark.parametrize(
    ("applet", "moods"),
    [
        ("iot-safe", {}),
        ("iot-safe", {"ccho": True, "bare": True}),
        ("iot-safe-der", {"chatter": ["RING"], "pieces": 3}),
        ("signit", {"bare": True}),
    ],
)
def test_a_board_signs_with_a_key_in_its_card(
    tmp_path: Path, applet: str, moods: dict[str, object]
) -> None:
    """Whatever way the modem has to the card, and whatever form the card's signatures have."""
    folder = tmp_path / "board"
    card = ("--on", "--card", str(tmp_path / "card.json"), "--applet", applet)
    with cellular.Modem(folder, "SIM7600", 1, *card, moods=moods):
        first, *rest = signed(folder, applet, MESSAGES)
    point = bytes.fromhex(first[1])
    assert len(point) == 33
    for message, (_, signature) in zip(MESSAGES, rest, strict=True):
        assert verifies(point, bytes.fromhex(signature), message)


def test_a_card_takes_its_key_to_another_board(tmp_path: Path) -> None:
    """The identity is in the card, not in the board."""
    card = ("--on", "--card", str(tmp_path / "card.json"))
    points = []
    for name in ("one", "other"):
        with cellular.Modem(tmp_path / name, "SIM7600", 1, *card):
            points.append(signed(tmp_path / name, "iot-safe", [])[0])
    assert points[0] == points[1]
