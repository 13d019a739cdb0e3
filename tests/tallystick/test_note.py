"""Signed notes and checkpoints (C2SP). The refused forms stand in `refused_objects.json`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick import checkpoint, note
from tallystick.errors import FormatError, KeyUnknownError, SignatureError, TallystickError
from tallystick.note import VerifierKey
from tests.world import GatewayLog, SimKey, key

C2SP = Path(__file__).resolve().parent.parent / "vectors" / "published" / "c2sp"


def test_the_example_of_the_specification() -> None:
    """Our checkpoints would be read by nobody else."""
    line = (C2SP / "note.vkey").read_text()
    vkey = VerifierKey.parse(line)
    assert line.strip() == str(vkey)
    parsed = note.parse((C2SP / "note.txt").read_bytes())
    assert "This is an example message.\n" == parsed.text
    parsed.verify(vkey)
    changed = note.parse((C2SP / "note.txt").read_bytes().replace(b"example m", b"Example m"))
    with pytest.raises(SignatureError):
        changed.verify(vkey)


def two_lines(second: bytes) -> bytes:
    first = note.sign("text\n", key("a"), "alice")
    return first + second.split(b"\n\n")[1]


def test_strangers_are_ignored() -> None:
    """A witness could spoil a checkpoint by signing it."""
    vkey = VerifierKey("alice", key("a").public)
    note.parse(two_lines(note.sign("other\n", key("b"), "bob"))).verify(vkey)
    # the same name with another key, and the same key under another name, are strangers too
    note.parse(two_lines(note.sign("other\n", key("b"), "alice"))).verify(vkey)
    note.parse(two_lines(note.sign("other\n", key("a"), "bob"))).verify(vkey)


def test_a_known_key_that_fails_spoils_the_note() -> None:
    """One good line would hide a bad one of the same key."""
    vkey = VerifierKey("alice", key("a").public)
    with pytest.raises(SignatureError):
        note.parse(two_lines(note.sign("other\n", key("a"), "alice"))).verify(vkey)
    with pytest.raises(KeyUnknownError, match=r"^note\.unsigned"):
        note.parse(note.sign("text\n", key("b"), "bob")).verify(vkey)


def test_16_signatures_are_accepted() -> None:
    """C2SP asks for at least 16."""
    raw = note.sign("text\n", key("a"), "alice")
    for i in range(15):
        raw += note.sign("text\n", key(str(i)), f"w{i}").split(b"\n\n")[1]
    assert 16 == len(note.parse(raw).signatures)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b"])
def test_key_names(name: str) -> None:
    """A name could be read in two ways."""
    with pytest.raises(FormatError, match=r"^note\.key-name"):
        VerifierKey(name, key("a").public)


def test_only_ed25519() -> None:
    """A key of another kind would be written as one of Ed25519."""
    with pytest.raises(FormatError, match=r"^note\.key-type"):
        VerifierKey("a", SimKey("a").public)


def test_a_checkpoint() -> None:
    """A log's size or root would be lost on the way."""
    log = GatewayLog(key("gateway"))
    log.add(b"one")
    parsed = checkpoint.parse(log.checkpoint())
    assert (log.origin, 1) == (parsed.origin, parsed.size)
    assert f"tallystick/{key('gateway').public.kid.hex()}" == log.origin
    parsed.verify(VerifierKey(log.origin, log.signer.public))
    with pytest.raises(FormatError, match=r"^checkpoint\.origin"):
        parsed.verify(VerifierKey("tallystick/other", log.signer.public))
    with pytest.raises(TallystickError):
        parsed.verify(VerifierKey(log.origin, key("other").public))
