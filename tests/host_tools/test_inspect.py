"""`tally inspect`: what a file says of itself."""

from __future__ import annotations

import json

import pytest

from tallystick import checkpoint, merkle, message, record
from tallystick.body import Channel, Clock, Event, EventCode, Open, Readings
from tallystick.statement import StatementKind
from tests.host_tools.conftest import Tally
from tests.world import START, Device, World, key, with_forged_record

_WARNING = "nothing was verified: this is what the file says of itself, and no trust is implied"


def test_inspect_says_first_that_nothing_was_verified(tally: Tally, world: World) -> None:
    """Broken: a forged file's claims are read as findings."""
    tally.write("forged.tally", with_forged_record(world.proof(1)))
    ran = tally("inspect", "forged.tally")
    assert (0, "") == (ran.status, ran.err)
    assert [_WARNING, "forged.tally: proof"] == ran.out.splitlines()[:2]
    facts = json.loads(tally("inspect", "--json", "forged.tally").out)
    assert ["schema", "verified", "file", "what"] == list(facts)[:4]
    assert facts["verified"] is False


def test_readings_are_scaled_exactly(tally: Tally, world: World) -> None:
    """Broken: 21.7 degrees are shown as 21.700000000000003, or a missing value as a number."""
    tally.write("a.tally", world.proof(1, 2))
    lines = tally("inspect", "a.tally").out.splitlines()
    start = lines.index("    readings:")
    assert [
        "      time                  temperature Cel  humidity %RH",
        "      2027-01-15T08:01:00Z  21.5             50.0",
        "      2027-01-15T08:02:00Z  -                -",
        "      2027-01-15T08:03:00Z  21.7             50.2",
    ] == lines[start + 1 : start + 5]
    assert "    clock: NTP" in lines
    facts = json.loads(tally("inspect", "--json", "a.tally").out)
    assert ["2027-01-15T08:02:00Z", None, None] == facts["records"][0]["readings"]["rows"][1]


def test_the_ends_of_the_number_range(tally: Tally, world: World) -> None:
    """Broken: an extreme value, a tick of milliseconds or a clock that was not set ends in a wrong number."""
    board = Device(key("extreme"))
    board.time = 77
    channels = (Channel("a", "Pa", 30), Channel("b", "m", -30), Channel("c", "V", 0))
    board.sign(Open(1, "0", bytes(16), Clock.UNSET, None, channels, 1))
    big = 2**63 - 1
    board.sign(Readings(0, (1500,), ((1, None), (-1, big - 1), (big, -1))))
    board.sign(Event(EventCode.CLOCK, (77, START, 2)))
    world.device = board
    tally.write("x.tally", world.proof(0, 2))
    facts = json.loads(tally("inspect", "--json", "x.tally").out)
    rows = facts["records"][1]["readings"]["rows"]
    assert ["start + 137.000 s", "1" + "0" * 30, "-0." + "0" * 29 + "1", str(big)] == rows[0]
    assert ["start + 138.500 s", None, "0.000000000009223372036854775806", "-1"] == rows[1]
    assert ["clock", [77, START, 2]] == [facts["records"][2]["event"], facts["records"][2]["args"]]


def test_each_kind_of_file_is_recognised(tally: Tally, world: World) -> None:
    """Broken: the engineer has to know what a file is before the tool tells."""
    leaf = [merkle.leaf_hash(b"x")]
    note = checkpoint.sign(world.log.signer, world.log.vkey.name, 1, merkle.root(leaf))
    ack = message.sign_acknowledgement(
        world.log.signer,
        device=bytes(8),
        upto=4,
        id=bytes(32),
        missing=[range(1, 3)],
        time=START,
        size=5,
        root=bytes(32),
        milestone=None,
        nonce=bytes(16),
    )
    world.proof(0)
    world.state(world.issuer, StatementKind.REGISTERED, world.device.did.encode())
    world.ledger.milestone(START)
    confirmed = world.ledger.confirmed(world.statements[0])
    files = {
        "record": world.device.records[1].raw,
        "checkpoint": note,
        "acknowledgement": ack,
        "command": message.sign_command(world.log.signer, device=bytes(8), counter=1, name="reset"),
        "challenge": message.sign_challenge(
            world.device.signer, device=bytes(8), nonce=bytes(16), next_seq=3
        ),
        "grant": message.sign_grant(world.owner, world.log.signer.public, 7),
        "credential": world.credential(),
        "block": world.ledger.blocks[world.ledger.order[0]].raw,
        "statement": confirmed.block.carried,
        "confirmed block": confirmed.encode(),
        "proof": world.proof(0),
    }
    for what, data in files.items():
        tally.write("file", data)
        ran = tally("inspect", "--json", "file")
        assert (0, what) == (ran.status, json.loads(ran.out)["what"]), ran.err
        assert 0 == tally("inspect", "file").status
    tally.write("file", world.ledger.milestones[-1].block.raw)
    said = json.loads(tally("inspect", "--json", "file").out)
    assert ["milestone", world.ledger.id.hex()] == [said["kind"], said["milestone"]["ledger"]]
    tally.write("file", ack)
    assert ["1..2"] == json.loads(tally("inspect", "--json", "file").out)["missing"]


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x00", b"\x83\x01\x02\x03", b"\xd2\x80", b"\xff" * 9]
)
def test_what_is_nothing_of_ours(tally: Tally, data: bytes) -> None:
    """Broken: a wrong file ends in a traceback."""
    tally.write("file", data)
    ran = tally("inspect", "file")
    assert (5, "") == (ran.status, ran.out)
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err


def test_readings_without_their_open_are_not_scaled(tally: Tally, world: World) -> None:
    """Broken: a bare record shows 215 degrees as if that were the value."""
    tally.write("r", world.device.records[1].raw)
    facts = json.loads(tally("inspect", "--json", "r").out)
    assert ["time", "channel 0 (not scaled)", "channel 1 (not scaled)"] == facts["readings"][
        "columns"
    ]
    assert ["2027-01-15T08:01:00Z + 60 ticks", None, None] == facts["readings"]["rows"][1]
    assert record.parse(world.device.records[1].raw).id.hex() == facts["id"]
