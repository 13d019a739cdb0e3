"""Keys in SIM cards: the recorded sessions of real cards, and the simulated ones over a real serial line.

If these fail, a board with its identity in a SIM card cannot sign, or signs what no verifier takes.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.virtual.modem.sim_card import SimCard
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


at, apdu, signit, iot_safe, p256, p256_verify = (
    on_host(f"modem.{name}") for name in ("at", "apdu", "signit", "iot_safe", "p256", "p256_verify")
)


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
        else:
            self._ready += "".join(f"{text}\r\n" for text in self.answer(line)).encode()

    def answer(self, line: str) -> list[str]:
        """What the card is asked for."""
        if not line.startswith("AT+CSIM"):
            return ["ERROR"]
        wanted, said = self._exchanges.pop(0)
        if wanted.upper() != line.upper():
            self.wrong.append((wanted, line))
        return said


class Wired(Replay):
    """A modem with a card in it. spoil(number of the exchange, answer): what becomes of an answer on its way. sessions:
    whether AT+CCHO is known, and how many there are."""

    def __init__(
        self,
        card: Any,
        spoil: Callable[[int, str], str | None] = lambda number, answer: answer,
        sessions: int | None = None,
    ) -> None:
        super().__init__([])
        self._card = card
        self._spoil = spoil
        self._sessions = sessions
        self.sent: list[str] = []

    def spoil_at(self, number: int, how: Callable[[str], str | None]) -> None:
        """Spoil the answer of one exchange to come."""
        self._spoil = lambda count, answer: how(answer) if count == number else answer

    def answer(self, line: str) -> list[str]:
        """The card's."""
        if line.startswith("AT+CCHO") and self._sessions is not None:
            return ["OK"] if line.endswith("?") else ["+CME ERROR: not found"]
        if not line.startswith("AT+CSIM="):
            return ["ERROR"]
        apdu = line.split('"')[1]
        self.sent.append(apdu)
        data, word = self._card.transmit(bytes.fromhex(apdu))
        answer = self._spoil(len(self.sent), f"{data.hex().upper()}{word:04X}")
        return ["ERROR"] if answer is None else [f'+CSIM: {len(answer)},"{answer}"', "OK"]


class Said:
    """A card that answers whatever a test says, and `9000` for what it does not."""

    def __init__(self, **answers: list[tuple[str, int]]) -> None:
        self._answers = {name.upper(): said for name, said in answers.items()}

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """By the instruction, `i84` for 84."""
        said = self._answers.get(f"I{apdu[1]:02X}")
        if not said:
            return b"", 0x9000
        data, word = said.pop(0) if len(said) > 1 else said[0]
        return bytes.fromhex(data), word


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
    "bad",
    [
        b"",
        bytes(64),
        b"\xff" * 64,
        b"\x30\x02\x02\x00",
        b"\x31" + bytes(70),
        bytes(63),
        # an end that was cut off, a length that says so, and one that does not
        bytes.fromhex("30440220" + "11" * 32 + "0220" + "22" * 31),
        bytes.fromhex("30430220" + "11" * 32 + "0220" + "22" * 31),
        bytes.fromhex("30450220" + "11" * 32 + "0220" + "22" * 32),
        bytes.fromhex("30440320" + "11" * 32 + "0220" + "22" * 32),
        bytes.fromhex("30270200" + "0220" + "22" * 32 + "020101"),
    ],
)
def test_what_is_no_signature_is_refused(bad: bytes) -> None:
    """A card's mistake must not end in a record that nobody can verify."""
    with pytest.raises((ValueError, IndexError)):
        p256.signature(bad)


@pytest.mark.parametrize(
    ("r", "s", "form"),
    [
        (1, 2, "3006020101020102"),
        (0x80, 0x8000, "3007020180" + "02028000"),  # without the zero that says "not negative"
        (5, 6, "300b0204000000050203000006"),  # with zeros that say nothing
    ],
)
def test_sloppy_der_is_understood(r: int, s: int, form: str) -> None:
    """Cards encode integers as they like."""
    expected = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert expected == p256.signature(bytes.fromhex(form))


@settings(max_examples=25, deadline=None)
@given(
    number=st.integers(1, ORDER - 1),
    message=st.binary(max_size=300),
    bit=st.integers(0, 511),
)
def test_a_signature_is_checked_before_it_is_used(number: int, message: bytes, bit: int) -> None:
    """One bit that the line has turned would be a record that nobody can verify, and a gap for good."""
    private = ec.derive_private_key(number, ec.SECP256R1())
    spot = private.public_key().public_numbers()
    key = p256.point(spot.x.to_bytes(32, "big") + spot.y.to_bytes(32, "big"))
    assert (spot.x, spot.y) == key
    digest = hashlib.sha256(message).digest()
    made = p256.signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
    assert p256_verify.verifies(key, digest, made)
    spoilt = (int.from_bytes(made, "big") ^ 1 << bit).to_bytes(64, "big")
    assert not p256_verify.verifies(key, digest, spoilt)
    assert not p256_verify.verifies(key, hashlib.sha256(message + b"!").digest(), made)


def test_a_key_that_was_garbled_is_no_key() -> None:
    """It would be the identity of nobody, and the board's chain put aside for it."""
    spot = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    good = spot.x.to_bytes(32, "big") + spot.y.to_bytes(32, "big")
    for bit in range(512):
        with pytest.raises(ValueError, match="no point"):
            p256.point((int.from_bytes(good, "big") ^ 1 << bit).to_bytes(64, "big"))
    for data in (good[:-1], b"\x02" + good, bytes(64), b"\xff" * 64):
        with pytest.raises(ValueError, match="no point"):
            p256.point(data)


SPOILT = {
    "shorter": lambda answer: answer[:-1],
    "no digits": lambda answer: answer[:-1] + "#",
    "refused": lambda answer: None,
    "another digit": lambda answer: ("0" if answer[0] != "0" else "F") + answer[1:],
}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("kind", ["signit", "iot-safe"])
def test_a_garbled_answer_makes_no_wrong_signature(tmp_path: Path, kind: str, how: str) -> None:
    """A part of a message that is sent again because the answer to it was garbled would be signed twice."""
    message = bytes(range(200))
    card = SimCard(tmp_path / "card.json", kind)
    outcomes = set()
    for number in range(1, 20):
        card.power()
        line = Wired(card)
        applet = apdu.Applet(board_end(line), signit.AID if kind == "signit" else iot_safe.AID)
        if kind == "signit":
            key = signit.Signit(applet)
            key.unlock(b"1234")
        else:
            key = iot_safe.IotSafe(applet, b"\x01", b"\x02")
            if number == 1:
                key.make()
        point = key.point()
        before = len(line.sent)
        line.spoil_at(before + number, SPOILT[how])
        try:
            signature = key.sign(message)
        except (apdu.CardError, ValueError, at.Silent):
            outcomes.add("refused")
            continue
        good = p256_verify.verifies(key.curve_point, hashlib.sha256(message).digest(), signature)
        assert good == verifies(point, signature, message)
        outcomes.add("good" if good else "found out")
        # what is left for the check: a digit of the signature itself
        assert good or how == "another digit"
        if before + number > len(line.sent):
            break
    assert "good" in outcomes
    assert len(outcomes) > 1


def test_a_card_that_names_another_length_is_asked_with_it() -> None:
    """6Cxx (ISO 7816-4): the command is fine, its length is not."""
    line = Wired(Said(i84=[("", 0x6C08), ("0011223344556677", 0x9000)]))
    card = iot_safe.IotSafe(apdu.Applet(board_end(line), iot_safe.AID), b"\x01", b"\x02")
    assert bytes.fromhex("0011223344556677") == card.random(16)
    assert ["8084000010", "8084000008"] == line.sent[-2:]


def test_an_answer_without_end_has_an_end() -> None:
    """A card that always has more would hang the board, and fill its memory."""
    line = Wired(Said(i84=[("", 0x6110)], ic0=[("00" * 16, 0x6110)]))
    card = iot_safe.IotSafe(apdu.Applet(board_end(line), iot_safe.AID), b"\x01", b"\x02")
    with pytest.raises(apdu.CardError, match="6110"):
        card.random(16)
    assert len(line.sent) < 20


@pytest.mark.parametrize(("answer", "place"), [("02", 2), ("04", 0), ("13", 0), ("", 0)])
def test_a_channel_that_cla_cannot_name_is_given_back(answer: str, place: int) -> None:
    """Channels from 4 on are numbered in another way: 8n would be another one, or another class."""
    line = Wired(Said(i70=[(answer, 0x9000)]))
    assert place == apdu.Applet(board_end(line), iot_safe.AID).place
    assert line.sent[-1].startswith(f"{place:02X}A4")
    assert (f"007080{answer}" in line.sent) == (answer not in ("", "02"))


def test_channels_do_not_run_out(tmp_path: Path) -> None:
    """A board that was reset does not know of the channel that it had: the fourth reset would be without one."""
    card = SimCard(tmp_path / "card.json", "iot-safe")
    line = Wired(card)
    first = apdu.Applet(board_end(line), iot_safe.AID)
    iot_safe.IotSafe(first, b"\x01", b"\x02").make()
    point = iot_safe.IotSafe(first, b"\x01", b"\x02").point()
    for _ in range(5):
        again = apdu.Applet(board_end(line), iot_safe.AID, place=first.place)
        assert point == iot_safe.IotSafe(again, b"\x01", b"\x02").point()
    assert 1 == line.sent.count("0070000001")
    card.power()
    lost = apdu.Applet(board_end(line), iot_safe.AID, place=first.place)
    with pytest.raises(apdu.CardError, match="6881"):
        iot_safe.IotSafe(lost, b"\x01", b"\x02").point()


def test_sessions_that_are_all_in_use_are_not_the_end(tmp_path: Path) -> None:
    """AT+CCHO is refused: AT+CSIM has channels of its own."""
    line = Wired(SimCard(tmp_path / "card.json", "iot-safe"), sessions=0)
    card = iot_safe.IotSafe(apdu.Applet(board_end(line), iot_safe.AID), b"\x01", b"\x02")
    card.make()
    assert 33 == len(card.point())


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
