"""`tally verify`: each verdict, in words, as JSON and as exit status."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick import cbor, proof, record
from tallystick.statement import StatementKind
from tests.host_tools.conftest import Ran, Tally
from tests.world import START, World, with_forged_record


@pytest.fixture
def policy(tally: Tally, world: World) -> Path:
    return tally.write("policy.toml", world.policy_text())


def _json(ran: Ran) -> list[dict[str, object]]:
    return [json.loads(line) for line in ran.out.splitlines()]


def _results(facts: dict[str, object]) -> dict[str, str]:
    checks = facts["checks"]
    assert isinstance(checks, list)
    return {check["code"]: check["result"] for check in checks}


def test_verified_in_words(tally: Tally, world: World, policy: Path) -> None:
    """Broken: the answer that a verifying engineer hands on says more, or less, than was proven."""
    tally.write("a.tally", world.proof(1, 2))
    ran = tally("verify", "a.tally", "--policy", policy)
    assert (0, "") == (ran.status, ran.err)
    ledger = world.ledger.id.hex()
    what = (
        f"4 readings of board {world.device.id.hex()} (seq 1..2) between 2027-01-15T08:01:00Z and"
        " 2027-01-15T08:02:00Z"
    )
    good = (
        "are unmodified since the board signed them, complete and in existence before"
        f" 2027-01-15T08:13:00Z, by the clock of ledger {ledger} operated by Harbour"
    )
    assert ran.out.splitlines() == [
        f"a.tally: VERIFIED: {what} {good}",
        "  ok       proof.format",
        "  ok       device.credential     issued by Acme",
        "  ok       device.key            first key",
        "  ok       record.signature      2 record(s) signed by the device",
        "  ok       record.open           2 readings record(s) with their open",
        "  ok       chain.link            1 link(s)",
        "  ok       chain.gap             none",
        "  ok       chain.fork            none in the file",
        "  ok       log.inclusion         in a log of 3",
        "  ok       checkpoint.signature  signed by field",
        "  ok       ledger.inclusion      position 1 of 2 blocks",
        f"  ok       ledger.milestone      milestone 1 of ledger {ledger}, operated by Harbour",
        "  skipped  device.status         no statements about the device in the file",
        "  ok       time.window",
        "  not after 2027-01-15T08:13:00Z, by the ledger's clock: a milestone of then confirms the anchor",
        "  the board's clock says 2027-01-15T08:01:00Z to 2027-01-15T08:02:00Z (its own claim)",
        "  not proven: device.status: no statements about the device in the file",
        "  not proven: that the readings are not older than the board's clock says",
        "  not proven: where the sensor was, and that it measured what it should",
        "  not proven: that the board's clock was right before the anchor",
        "  not proven: that nobody opened the case",
    ]


def test_verified_as_json(tally: Tally, world: World, policy: Path) -> None:
    """Broken: programs that read schema 2 break."""
    tally.write("a.tally", world.proof(1, 2))
    (facts,) = _json(tally("verify", "--json", "a.tally", "--policy", policy))
    assert [
        *("schema", "file", "status", "exit", "sentence", "device", "name", "checks"),
        *("not_before", "not_after", "claimed_first", "claimed_last", "issuer", "gateway"),
        *("ledger", "ledger_operator", "first", "last", "readings", "gaps", "bad", "warnings"),
        *("notes",),
        *("not_proven", "hint", "required", "tool_version"),
    ] == list(facts)
    expected = {
        "schema": 2,
        "file": "a.tally",
        "status": "VERIFIED",
        "exit": 0,
        "device": world.device.did,
        "not_before": None,
        "not_after": "2027-01-15T08:13:00Z",
        "gateway": world.log.vkey.name,
        "ledger": world.ledger.id.hex(),
        "first": 1,
        "last": 2,
        "readings": 4,
        "notes": [],
    }
    assert expected == {name: facts[name] for name in expected}
    checks = facts["checks"]
    assert isinstance(checks, list)
    assert {"code": "proof.format", "result": "ok", "detail": ""} == checks[0]


def test_the_lower_bound_of_time(tally: Tally, world: World, policy: Path) -> None:
    """Broken: readings that were proven young are reported without their lower bound."""
    before = world.ledger.milestone(START - 900)
    beacon = world.device.beacon(world.ledger.newest())
    reading = world.device.readings([220])
    data = world.proof(reading.seq, before=before.block.raw, links=[beacon.raw])
    tally.write("b.tally", data)
    (facts,) = _json(tally("verify", "--json", "b.tally", "--policy", policy))
    assert ("VERIFIED", "2027-01-15T07:45:00Z") == (facts["status"], facts["not_before"])
    words = tally("verify", "-v", "b.tally", "--policy", policy).out
    assert "and signed after 2027-01-15T07:45:00Z, by the clock of ledger" in words
    assert "  not before 2027-01-15T07:45:00Z, by the ledger's clock: the chain names a" in words
    assert f"  seq {beacon.seq} beacon, 2027-01-15T08:03:00Z:\n" in words


def test_tampered(tally: Tally, world: World, policy: Path) -> None:
    """Broken: forged evidence is not called forged."""
    tally.write("t.tally", with_forged_record(world.proof(1)))
    ran = tally("verify", "t.tally", "--policy", policy)
    assert 1 == ran.status
    first, *rest = ran.out.splitlines()
    assert (
        "t.tally: TAMPERED: something was changed: record.signature: seq 1: the signature does not verify"
    ) == first
    assert "  failed   log.inclusion         seq 1: the path does not lead to the root" in rest
    assert not [line for line in rest if "clock says" in line]


def test_pending(tally: Tally, world: World, policy: Path) -> None:
    """Broken: "not anchored yet" reads like a forgery, or like a proof."""
    tally.write("p.tally", world.proof(1, anchored=False))
    ran = tally("verify", "p.tally", "--policy", policy)
    assert 3 == ran.status
    assert (
        f"p.tally: PENDING: 3 readings of board {world.device.id.hex()} (seq 1) between 2027-01-15T08:01:00Z and "
        "2027-01-15T08:03:00Z are unmodified since the board signed them; no ledger confirms it yet"
    ) == ran.out.splitlines()[0]
    assert "  not proven: ledger.inclusion: not anchored yet" in ran.out.splitlines()


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        ("issuer", "device.credential"),
        ("gateway", "checkpoint.signature"),
        ("ledger", "ledger.milestone"),
    ],
)
def test_untrusted_when_the_policy_does_not_know_somebody(
    tally: Tally, world: World, missing: str, code: str
) -> None:
    """Broken: evidence counts that comes from an issuer, a gateway or a ledger whom nobody vouched for."""
    policy = tally.write("less.toml", world.policy_text(**{missing: False}))
    tally.write("a.tally", world.proof(1))
    ran = tally("verify", "--json", "a.tally", "--policy", policy)
    assert 4 == ran.status
    (facts,) = _json(ran)
    assert ("UNTRUSTED", "untrusted") == (facts["status"], _results(facts)[code])


def test_untrusted_when_the_device_was_suspended(tally: Tally, world: World, policy: Path) -> None:
    """Broken: a stolen or suspended board's readings pass."""
    world.state(world.issuer, StatementKind.REGISTERED, world.device.did.encode())
    world.state(world.issuer, StatementKind.SUSPENDED, b"lost")
    tally.write("s.tally", world.proof(1))
    ran = tally("verify", "s.tally", "--policy", policy)
    assert 4 == ran.status
    assert "but device.status: suspended before the anchor's position\n" in ran.out


def test_undecided_for_each_file_that_cannot_be_read(
    tally: Tally, world: World, policy: Path
) -> None:
    """Broken: one damaged file ends the run, or is passed over in silence."""
    good = world.proof(1)
    tally.write("cut.tally", good[:-7])
    tally.write("empty.tally", b"")
    tally.write("letter.tally", b"Dear all,\n")
    tally.write("newer.tally", cbor.encode(["tally", 2, []]))
    (tally.cwd / "nothing").mkdir()
    os.mkfifo(tally.cwd / "pipe.tally")
    tally.write("good.tally", good)
    names = [
        "cut.tally",
        "empty.tally",
        "letter.tally",
        "newer.tally",
        "nothing",
        "pipe.tally",
        "gone.tally",
        "good.tally",
    ]
    ran = tally("verify", *names, "--policy", policy)
    assert 5 == ran.status
    said = [line for line in ran.out.splitlines() if not line.startswith(" ")]
    expected = "could not be decided: proof.format: "
    tangled = "cbor.not-deterministic: not the shortest, ordered form, or bytes are left over"
    assert [
        f"cut.tally: UNDECIDED: {expected}cbor.malformed: not CBOR: CBORDecodeEOF",
        f"empty.tally: UNDECIDED: {expected}cbor.malformed: not CBOR: CBORDecodeEOF",
        f"letter.tally: UNDECIDED: {expected}{tangled}; this is no proof",
        f"newer.tally: UNDECIDED: {expected}proof.version: version 2, this program reads 1",
        f"nothing: UNDECIDED: {expected}a folder without *.tally files",
        f"pipe.tally: UNDECIDED: {expected}'pipe.tally' is not a regular file",
        f"gone.tally: UNDECIDED: {expected}cannot read 'gone.tally': no such file or directory",
    ] == said[:7]
    assert said[7].startswith("good.tally: VERIFIED: ")
    assert "8 files: 1 VERIFIED, 7 UNDECIDED\n" == ran.err


def test_a_file_above_the_limit_is_not_read(tally: Tally, policy: Path) -> None:
    """Broken: a file of any size, sent by anybody, fills the memory."""
    huge = tally.cwd / "huge.tally"
    with huge.open("wb") as file:
        file.truncate(256 * 2**20 + 1)
    ran = tally("verify", huge, "--policy", policy)
    assert 5 == ran.status
    assert "is larger than 268435456 bytes, the most that is read" in ran.out


def test_names_that_are_no_text_or_command_the_terminal_are_escaped(
    tally: Tally, world: World, policy: Path
) -> None:
    """Broken: a file name ends the run, or writes on the screen what a verdict should."""
    data = world.proof(1)
    names = [b"caf\xe9.tally", b"a\x1b[2Jb\nVERIFIED.tally"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tally.cwd) + b"/" + name)).write_bytes(data)
    ran = tally("verify", *names, "--policy", policy)
    assert 0 == ran.status
    said = [line.partition(": ")[0] for line in ran.out.splitlines() if not line.startswith(" ")]
    assert ["caf\\xe9.tally", "a\\x1b[2Jb\\nVERIFIED.tally"] == said
    found = _json(tally("verify", "--json", tally.cwd, "--policy", policy))
    assert {str(facts["status"]) for facts in found} == {"VERIFIED"}
    assert 2 == len(found)


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["good", "pending"], 3),
        (["pending", "untrusted"], 4),
        (["untrusted", "broken"], 5),
        (["broken", "forged", "good"], 1),
        (["good", "good"], 0),
    ],
)
def test_the_worst_file_decides(
    tally: Tally, world: World, policy: Path, names: list[str], status: int
) -> None:
    """Broken: a script that verifies a folder passes because its last file is fine."""
    good = world.proof(1)
    tally.write("good", good)
    tally.write("forged", with_forged_record(good))
    tally.write("pending", world.proof(1, anchored=False))
    tally.write("broken", b"no")
    tally.write("untrusted", world.proof(1, credential=world.credential(expires=START)))
    assert status == tally("verify", "-q", *names, "--policy", policy).status


def test_quiet_goes_with_nothing_that_talks(tally: Tally, world: World, policy: Path) -> None:
    """Broken: a script that asks for both gets neither, and no word of it."""
    tally.write("a.tally", world.proof(1))
    for other in ("-v", "--json"):
        ran = tally("verify", "-q", other, "a.tally", "--policy", policy)
        assert (2, "") == (ran.status, ran.out)
        assert "-q says nothing" in ran.err


def test_quiet_says_nothing(tally: Tally, world: World, policy: Path) -> None:
    """Broken: -q is useless in a cron job."""
    tally.write("t.tally", with_forged_record(world.proof(1)))
    assert Ran(1, "", "") == tally("verify", "-q", "t.tally", "--policy", policy)


def test_a_fork_that_shows_only_across_two_files(tally: Tally, world: World, policy: Path) -> None:
    """Broken: a cloned board's two stories each pass, although together they prove the clone."""
    clone = world.device.clone()
    seq = world.device.readings([230]).seq
    clone.readings([999])
    tally.write("one.tally", world.proof(seq))
    tally.write("two.tally", world.proof(seq, device=clone))
    tally.write("old.tally", world.proof(1))
    assert 0 == tally("verify", "-q", "one.tally", "--policy", policy).status
    assert 0 == tally("verify", "-q", "two.tally", "--policy", policy).status
    ran = tally("verify", "one.tally", "two.tally", "old.tally", "--policy", policy)
    assert 4 == ran.status
    said = [line for line in ran.out.splitlines() if "  chain.fork " in line]
    assert "untrusted  chain.fork            fork at seq 3: readings " in said[0]
    for line in said[:2]:
        assert " in one.tally and readings " in line
        assert " in two.tally (a cloned or restored key)" in line
    board = f"board {world.device.id.hex()}"
    assert [
        "3 files: 1 VERIFIED, 2 UNTRUSTED",
        f"{board}: between the files, 1 record not at hand: seq 2",
    ] == ran.err.splitlines()
    assert "  note: a later fork at seq 3: " in ran.out


def test_a_forged_record_proves_no_fork(tally: Tally, world: World, policy: Path) -> None:
    """Broken: anybody can discredit a good proof by laying a forged file beside it."""
    good = world.proof(2)
    forged = record.parse(proof.parse(good).records[0].raw)
    payload = forged.signed.payload.replace(forged.prev, bytes(32))
    raw = forged.raw.replace(forged.signed.payload, payload)
    tally.write("good.tally", good)
    tally.write("forged.tally", good.replace(forged.raw, raw))
    found = _json(tally("verify", "--json", "good.tally", "forged.tally", "--policy", policy))
    assert ["VERIFIED", "TAMPERED"] == [facts["status"] for facts in found]


def test_a_board_is_called_by_its_name(tally: Tally, world: World, policy: Path) -> None:
    """Broken: people have to compare hexadecimal digits with a list."""
    entry = {"id": world.device.id.hex(), "did": world.device.did, "name": "cold-room-3"}
    entry["credential"] = base64.b64encode(world.credential()).decode()
    table = {"version": 1, "grant": None, "devices": [entry]}
    fleet = tally.write("fleet.json", json.dumps(table))
    tally.write("a.tally", world.proof(1))
    ran = tally("verify", "a.tally", "--policy", policy, "--enrolment", fleet)
    assert ran.out.startswith("a.tally: VERIFIED: 3 readings of cold-room-3 (seq 1) between ")


def test_no_colour_unless_a_person_looks(tally: Tally, world: World, policy: Path) -> None:
    """Broken: escape sequences in logs, or colours for somebody who asked for none."""
    tally.write("a.tally", world.proof(1))

    def on_a_terminal(env: dict[str, str]) -> bytes:
        ours, theirs = pty.openpty()
        argv = [
            sys.executable,
            "-m",
            "tallystick_host",
            "verify",
            "a.tally",
            "--policy",
            str(policy),
        ]
        try:
            subprocess.run(
                argv, cwd=tally.cwd, env=tally.environment(env), stdout=theirs, check=True
            )
            return os.read(ours, 65_536)
        finally:
            os.close(ours)
            os.close(theirs)

    assert b"\x1b[32m" in on_a_terminal({"NO_COLOR": ""})
    assert b"\x1b[" not in on_a_terminal({"NO_COLOR": "1"})
    assert "\x1b[" not in tally("verify", "a.tally", "--policy", policy).out
