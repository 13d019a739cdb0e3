"""C2SP transparency log proofs. If these fail, a stock verifier refuses ours, or we take what is not proven."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest

from tallystick import tlog_proof
from tallystick.errors import EvidenceError, FormatError, LimitError, TallystickError
from tests.world import World, key


@pytest.fixture
def world() -> World:
    made = World()
    made.device.open()
    for value in range(6):
        made.device.readings([value])
    made.publish()
    return made


def exported(world: World, seq: int) -> bytes:
    raw = world.device.records[seq].raw
    index, path = world.log.inclusion(raw)
    return tlog_proof.text(raw, index, path, world.log.checkpoint())


def by_the_letter(data: bytes) -> tuple[bytes, bytes]:
    """(the root that the path leads to, the root in the checkpoint), written from the specification's text alone."""
    head, _, note = data.partition(b"\n\n")
    lines = head.decode().split("\n")
    assert "c2sp.org/tlog-proof@v1" == lines[0]
    record = base64.b64decode(lines[1].removeprefix("extra "))
    index = int(lines[2].removeprefix("index "))
    size = int(note.split(b"\n")[1])
    node = sha256(b"\0" + record).digest()
    last = size - 1
    for line in lines[3:]:
        sibling = base64.b64decode(line)
        while index == last and not index & 1:
            index, last = index >> 1, last >> 1
        left = index & 1
        node = sha256(b"\1" + (sibling + node if left else node + sibling)).digest()
        index, last = index >> 1, last >> 1
    return node, base64.b64decode(note.split(b"\n")[2])


@pytest.mark.parametrize("seq", range(7))
def test_leads_to_the_root_by_the_letter_of_the_specification(world: World, seq: int) -> None:
    data = exported(world, seq)
    found, root = by_the_letter(data)
    assert root == found
    assert world.device.records[seq].raw == tlog_proof.verify(data, world.log.vkey)


def test_the_example_of_the_specification_is_read() -> None:
    hashes = ["gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ="] * 3
    note = "example.com/log\n9\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\n\u2014 example.com/log AAAAAAAA\n"
    text = "\n".join(["c2sp.org/tlog-proof@v1", "index 4", *hashes, "", ""]) + note
    extra, index, path, signed = tlog_proof.parse(text.encode())
    assert (None, 4, 3, 9) == (extra, index, len(path), signed.size)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"c2sp.org/tlog-proof@v1", b"c2sp.org/tlog-proof@v2"),
        (b"index ", b"index 0"),
        (b"index ", b"index +"),
        (b"extra ", b"extra  "),
        (b"\n\n", b"\n"),
    ],
)
def test_refuses_another_form(world: World, old: bytes, new: bytes) -> None:
    with pytest.raises(TallystickError) as caught:
        tlog_proof.parse(exported(world, 3).replace(old, new, 1))
    assert isinstance(caught.value, FormatError)


def test_refuses_another_record_index_or_key(world: World) -> None:
    data = exported(world, 3)
    with pytest.raises(EvidenceError):
        tlog_proof.verify(data, world.log.vkey, entry=world.device.records[2].raw)
    with pytest.raises(EvidenceError):
        tlog_proof.verify(data.replace(b"index 3", b"index 2"), world.log.vkey)
    other = World()
    other.log.signer = key("another gateway")
    with pytest.raises(TallystickError):
        tlog_proof.verify(data, type(world.log)(key("another gateway")).vkey)
    with pytest.raises(LimitError):
        tlog_proof.parse(data + b"x" * 65_536)


def test_a_policy_lists_logs_and_asks_for_no_witness(world: World) -> None:
    assert f"log {world.log.vkey}\nquorum none\n" == tlog_proof.policy([world.log.vkey])
