"""`tally verify` beyond the verdict: gaps, tails, warnings, steps by hand, explanations, many files on many cores."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
import rich_click as click

from tallystick import (
    checkpoint,
    cosignature,
    merkle,
    message,
    note,
    proof,
    shared_inclusion,
)
from tallystick.body import EventCode
from tallystick_host import explanations, hash_steps, verify_options
from tallystick_host.commands.verify import command
from tests.cold_room import ColdRoom
from tests.host_tools.conftest import Tally
from tests.large import proofs
from tests.tallystick.test_transaction import Site
from tests.world import START, World, key, with_forged_record
from tools.parts import ROOT

NAMES = (
    "device",
    "second",
    "issuer",
    "owner",
    "gateway",
    "ledger",
    "inspector",
)  # of the world's keys
SCHEMA = json.loads((ROOT / "docs" / "verdict.schema.json").read_text())


@pytest.fixture
def policy(tally: Tally, world: World) -> Path:
    return tally.write("policy.toml", world.policy_text())


def shared(world: World, first: int, last: int) -> bytes:
    """A proof whose records share one inclusion."""
    world.admit()
    posted = world.anchor()
    world.ledger.milestone(world.device.time + 600)
    records = world.device.records[first : last + 1]
    parts = world.parts(records, anchor=posted)
    leaves = world.log.leaves()
    at = [index for index, _ in parts["inclusions"]]
    up = shared_inclusion.prove(at, len(leaves), lambda a, b: merkle.root(leaves[a:b]))
    return world.prove(records, **{**parts, "inclusions": [], "shared": (at, up)})


# ---- completeness


def test_a_gap_is_named_with_who_says_why(tally: Tally, world: World, policy: Path) -> None:
    """Broken: what the board lost and what somebody left out look alike, or are not counted."""
    world.device.seq += 3
    world.device.event(EventCode.PRUNED, 3, 5)
    world.device.readings()
    tally.write("told.tally", world.proof(1, 4))
    records = world.device.records
    tally.write("cut.tally", world.prove([records[1], records[4]]))
    ran = tally("verify", "told.tally", "--policy", policy)
    assert 0 == ran.status
    assert "complete except for 1 gap (3 records) that the board declares and in" in ran.out
    assert "  missing: seq 3..5 (3 records): pruned, as the board itself says at seq 6\n" in ran.out
    ran = tally("verify", "--json", "cut.tally", "--policy", policy)
    assert 5 == ran.status
    gaps = json.loads(ran.out)["gaps"]
    assert [{"first": 2, "last": 6, "records": 5, "reason": None, "event": None}] == gaps


def test_the_end_that_is_cut_off(tally: Tally, world: World, policy: Path) -> None:
    """Broken: whoever hands over the file decides where the chain ends."""
    tally.write("whole.tally", world.proof(1, 2))
    tally.write("short.tally", world.proof(1))
    last = world.device.records[2]

    def acknowledged(signer: str) -> bytes:
        return message.sign_acknowledgement(
            key(signer), device=world.device.id, upto=2, id=last.id, missing=[], time=START,
            size=3, root=bytes(32), milestone=None, nonce=bytes(16),
        )  # fmt: skip

    tally.write("ack.cbor", acknowledged("gateway"))
    tally.write("forged.cbor", acknowledged("stranger"))
    for head in ("ack.cbor", "whole.tally"):
        ran = tally("verify", "short.tally", "--head", head, "--policy", policy)
        assert 5 == ran.status
        assert (
            "undecided  chain.tail            the end is missing: 2 (1 record(s)), known" in ran.out
        )
        assert 0 == tally("verify", "-q", "whole.tally", "--head", head, "--policy", policy).status
    both = tally(
        "verify", "-q", "short.tally", "whole.tally", "--head", "ack.cbor", "--policy", policy
    )
    assert 0 == both.status
    ran = tally("verify", "short.tally", "--head", "forged.cbor", "--policy", policy)
    assert (2, "") == (ran.status, ran.out)
    assert "no gateway of the policy signed this acknowledgement" in ran.err


# ---- time


def test_one_party_on_both_sides_is_a_warning(tally: Tally, world: World) -> None:
    """Broken: a site that runs gateway and ledger itself proves times to others without saying so."""
    text = world.policy_text().replace('name = "field"', 'operator = "harbour "')
    policy = tally.write("same.toml", text)
    tally.write("a.tally", world.proof(1))
    ran = tally("verify", "a.tally", "--policy", policy)
    assert 0 == ran.status
    assert (
        "  warning: harbour  runs both the gateway and the ledger: the time bounds are one"
        in ran.out
    )


def test_a_clock_that_contradicts_the_ledger_is_a_warning(
    tally: Tally, world: World, policy: Path
) -> None:
    """Broken: a board whose clock is wrong by months is believed."""
    world.device.readings(time=START + 10**6)
    world.admit()
    posted = world.anchor()
    world.ledger.milestone(START + 1000)
    data = world.prove(
        [world.device.records[3]], **world.parts([world.device.records[3]], anchor=posted)
    )
    tally.write("a.tally", data)
    ran = tally("verify", "--json", "a.tally", "--policy", policy)
    assert 0 == ran.status
    (warning,) = json.loads(ran.out)["warnings"]
    assert "the board's clock at seq 3 lies 999000 s after the window ends" in warning


def test_every_bad_record_is_named(tally: Tally, policy: Path) -> None:
    """Broken: of many bad records the first three are named, and the reader has to guess at the others."""
    world = World()
    world.device.open()
    for value in range(9):
        world.device.readings([value])
    world.publish()
    data = world.prove(world.device.records)
    for seq in (2, 3, 5, 7, 8):
        raw = world.device.records[seq].raw
        data = data.replace(raw, raw[:-1] + bytes([raw[-1] ^ 1]), 1)
    tally.write("a.tally", data)
    ran = tally("verify", "a.tally", "--policy", policy)
    assert (1, True) == (ran.status, "  bad: 5 records: seq 2..3, 5, 7..8\n" in ran.out)
    said = json.loads(tally("verify", "--json", "a.tally", "--policy", policy).out)
    assert [[2, 3], [5, 5], [7, 8]] == [[one["first"], one["last"]] for one in said["bad"]]


# ---- by hand


@pytest.mark.parametrize("how", ["single", "shared"])
def test_every_step_can_be_done_by_hand(tally: Tally, world: World, policy: Path, how: str) -> None:
    """Broken: -v shows hashes that nobody can reproduce, or stops before the root."""
    tally.write("a.tally", world.proof(1, 2) if how == "single" else shared(world, 1, 2))
    out = tally("verify", "-v", "a.tally", "--policy", policy).out
    records = [bytes.fromhex(one) for one in re.findall(r"  record = ([0-9a-f]+)", out)]
    signed = [bytes.fromhex(one) for one in re.findall(r"  signed bytes = ([0-9a-f]+)", out)]
    ids = re.findall(r"sha256\(signed bytes\) = ([0-9a-f]+)", out)
    assert ids == [hashlib.sha256(one).hexdigest() for one in signed]
    leaves = re.findall(r"sha256\(00 \|\| record\) = ([0-9a-f]+)", out)
    assert set(leaves) <= {hashlib.sha256(b"\x00" + one).hexdigest() for one in records}
    steps = re.findall(r"sha256\(01 \|\| ([0-9a-f]+) \|\| ([0-9a-f]+)\) = ([0-9a-f]+)", out)
    for left, right, value in steps:
        node = hashlib.sha256(b"\x01" + bytes.fromhex(left) + bytes.fromhex(right))
        assert node.hexdigest() == value
    values = {value for _, _, value in steps}
    roots = re.findall(r"must be the root of [a-z0-9 ]+ = ([0-9a-f]+)", out)
    assert 2 == len(roots)
    assert set(roots) <= values


def test_every_part_of_a_proof_is_shown(world: World) -> None:
    """Broken: a part that the verdict hangs on is left out of -v, or shown with bytes that nobody signed."""
    room = ColdRoom()
    site = Site()
    later = site.world.publish(START + 9_000)
    cosigned = cosignature.sign(
        key("witness"),
        "w.example",
        note.parse(checkpoint.sign(site.ledger.signer, site.ledger.name, later.size, later.root)),
        START,
    )
    leaves = [merkle.leaf_hash(one) for one in site.ledger.order[: later.size]]
    way = merkle.consistency_path(leaves, site.anchor.milestone.size)
    witnessed = site.world.prove(
        [site.reading], anchor=site.anchor.encode(), cosigned=(cosigned, way)
    )
    proofs = [room.bounded(), room.shared(), room.forked(), site.proof(site.sent), witnessed]
    lines = [line for data in proofs for line in hash_steps.steps(proof.parse(data))]
    keys = {one.public.kid.hex(): one.public for one in map(key, NAMES)}
    signed, checked = b"", 0
    for line in lines:
        if found := re.fullmatch("  (?:[a-z']+ )?signed bytes = ([0-9a-f]+)", line):
            signed = bytes.fromhex(found[1])
        if found := re.fullmatch("  key ([0-9a-f]{16}) signed them: signature = ([0-9a-f]+)", line):
            keys[found[1]].verify(bytes.fromhex(found[2]), signed)
            checked += 1
        for hashed, value in re.findall(r"sha256\(([0-9a-f |]+)\) = ([0-9a-f]{64})", line):
            joined = bytes.fromhex(hashed.replace(" || ", ""))
            assert value == hashlib.sha256(joined).hexdigest()
    assert checked > 60
    text = "\n".join(lines)
    for heading in (
        *("credential, by did:key:", "fork pair 1, ", "statement inspected, ", "  the new key = "),
        *(
            "possession's signed bytes = ",
            "the milestone before, 1 of ledger ",
            "line of w.example, ",
        ),
        *(
            "cosigned checkpoint, ",
            "transaction on eip155:1030, nonce 3:",
            "keccak256(transaction) = ",
        ),
    ):
        assert heading in text, heading
    roots = re.findall("must be the roots of [0-9]+ and of [0-9]+ = ([0-9a-f]+), ([0-9a-f]+)", text)
    assert [(site.anchor.milestone.root.hex(), later.root.hex())] == roots
    assert text.count(f") = {later.root.hex()}") == 1


# ---- JSON


def test_json_follows_its_schema(tally: Tally, world: World, policy: Path) -> None:
    """Broken: a program that was written from the schema meets something else."""
    world.device.seq += 1
    world.device.event(EventCode.DROPPED, 3, 3)
    tally.write("a.tally", world.proof(1, 3))
    tally.write("b.tally", with_forged_record(world.proof(1)))
    tally.write("c.tally", b"\xff")
    tally.write("d.tally", world.proof(1, anchored=False))
    lines = tally("verify", "--json", tally.cwd, "--policy", policy).out.splitlines()
    assert 4 == len(lines)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for line in lines:
        facts = json.loads(line)
        jsonschema.validate(facts, SCHEMA)
        assert set(SCHEMA["properties"]) == set(facts)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(lines[0]), "status": "FINE"}, SCHEMA)


# ---- explanations


def test_explain(tally: Tally) -> None:
    """Broken: whoever meets a code has to read the source."""
    out = tally("verify", "--explain", "chain.gap").out
    assert out.startswith("chain.gap: is anything missing between")
    assert "  undecided: records are missing and no event explains it" in out
    assert "what to do: " in out
    assert "TAMPERED: a check ran and failed" in tally("verify", "--explain", "tampered").out
    assert "section 1," in tally("verify", "--explain", "cbor.malformed").out
    ran = tally("verify", "--explain", "chain.gaps.x")
    assert (5 - 3, "") == (ran.status, ran.out) or ran.out
    assert 2 == tally("verify", "--explain", "frobnicate").status


def test_every_code_is_explained() -> None:
    """Broken: a verdict shows a code of which nothing says what to do."""
    page = (ROOT / "docs" / "format.md").read_text()
    listed = re.search(r"\*\*Checks\*\* of a verdict are those of section 12: `([^`]+)`", page)
    assert listed is not None
    assert set(listed[1].split()) == set(explanations.CHECKS)
    errors = page.partition("**Errors** name")[2].partition("## 16. ")[0]
    nouns = {code.partition(".")[0] for code in re.findall(r"[a-z]+\.[a-z0-9-]+", errors)}
    # what services answer, and no proof or verdict shows
    services = {"anchor", "ledger", "device", "gateway", "endpoint", "history", "writer"}
    others = {"docs", "format", "reading", "report"}
    for noun in nouns - services - others:
        assert noun in explanations.ERRORS, noun


# ---- the quick way in


def test_the_quick_way_knows_the_same_options() -> None:
    """Broken: an option works or does not, depending on what else stands on the line."""
    names = {
        option: parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    quick = {**verify_options.FLAGS, **verify_options.VALUES}
    slow = {"-j", "--jobs", "--explain"}
    assert {option: name for option, name in names.items() if option not in slow} == quick
    many = {p.name for p in command.params if isinstance(p, click.Option) and p.multiple}
    assert many == set(verify_options.MANY)


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"], ["-qv", "a"], ["--json=1", "a"], ["--policy"], ["--policy", "-q", "a"],
        ["--", "a"], ["-x", "a"], [], ["-q"], ["--jobs", "2", "a"], [""],
    ],
)  # fmt: skip
def test_what_the_quick_way_leaves_alone(argv: list[str]) -> None:
    """Broken: help, mistakes and abbreviations are taken for file names."""
    assert verify_options.quick(argv) is None


def test_the_quick_way_loads_no_command_line(tally: Tally, world: World, policy: Path) -> None:
    """Broken: a script that verifies file by file waits for libraries that it does not use."""
    tally.write("a.tally", world.proof(1))
    program = (
        "import sys; from tallystick_host.start import main; status = main(sys.argv[1:]); "
        "heavy = {'click', 'rich', 'httpx', 'dataclasses', 'json', 'pathlib', 'asyncio'}; "
        "print(sorted(heavy & set(sys.modules))); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "verify", "-q", "--policy", str(policy), "a.tally"],
        cwd=tally.cwd, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "[]\n" == done.stdout


# ---- many files, many cores


def _many(tally: Tally, world: World, files: int, records: int) -> None:
    """`files` files of `records` records each, of one device."""
    for number, data in enumerate(proofs(world, files * records, files=files)):
        tally.write(f"many/{number:04}.tally", data)


def test_many_cores_say_what_one_says(tally: Tally, world: World, policy: Path) -> None:
    """Broken: with more files, or more cores, verdicts come in another order, or others come."""
    _many(tally, world, 12, 300)
    forged = (tally.cwd / "many" / "0007.tally").read_bytes()
    tally.write("many/0007.tally", with_forged_record(forged))
    tally.write("many/0005.tally", b"broken")
    one = tally("verify", "-j", "1", "many", "--policy", policy)
    two = tally("verify", "-j", "2", "many", "--policy", policy)
    assert 1 == one.status
    assert (one.status, one.out, one.err) == (two.status, two.out, two.err)
    counts, missing = two.err.splitlines()
    assert "12 files: 10 VERIFIED, 1 TAMPERED, 1 UNDECIDED" == counts
    assert missing.endswith(": between the files, 300 records not at hand: seq 1503..1802")


def test_a_fork_across_many_files_on_many_cores(tally: Tally, world: World, policy: Path) -> None:
    """Broken: a clone is found in two files, and not in a thousand."""
    clone = world.device.clone()
    _many(tally, world, 10, 300)
    clone.readings([999])
    other = World()
    other.device = clone
    other.log.entries = []
    tally.write("many/clone.tally", other.proof(3, device=clone))
    ran = tally("verify", "--json", "-j", "2", "many", "--policy", policy)
    assert 4 == ran.status
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert 11 == len(found)
    assert {"UNTRUSTED"} == {one["status"] for one in found}
    (detail,) = {c["detail"] for one in found for c in one["checks"] if c["code"] == "chain.fork"}
    assert "fork at seq 3: readings " in detail
    assert "clone.tally (a cloned or restored key)" in detail


def test_one_large_file_on_many_cores(tally: Tally, world: World, policy: Path) -> None:
    """Broken: a bad record in the middle of a large file is passed over, or the rest is not looked at."""
    (data,) = proofs(world, 3000)
    assert len(data) > 400_000
    tally.write("a.tally", data)
    raw = world.device.records[2500].raw
    tally.write("b.tally", data.replace(raw, raw[:-1] + bytes([raw[-1] ^ 1])))
    assert 0 == tally("verify", "-q", "-j", "2", "a.tally", "--policy", policy).status
    ran = tally("verify", "-j", "2", "b.tally", "--policy", policy)
    assert 1 == ran.status
    assert "record.signature: seq 2500: the signature does not verify" in ran.out.splitlines()[0]


def test_who_kills_the_command_leaves_nobody_behind(
    tally: Tally, world: World, policy: Path
) -> None:
    """Broken: a job that a scheduler kills goes on in its children for ever."""
    _many(tally, world, 12, 800)
    running = subprocess.Popen(
        [sys.executable, "-m", "tallystick_host", "verify", "-j", "2", "many", "--policy", policy],
        cwd=tally.cwd, stdout=subprocess.DEVNULL, env=tally.environment(),
    )  # fmt: skip
    listed = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    children: list[str] = []
    while running.poll() is None and not (children := listed.read_text().split()):
        time.sleep(0.01)
    running.kill()
    running.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, children
        time.sleep(0.05)


def test_ctrl_c_ends_all_processes(tally: Tally, world: World, policy: Path) -> None:
    """Broken: Ctrl-C leaves processes behind, or a traceback of each."""
    _many(tally, world, 12, 800)
    running = subprocess.Popen(
        [sys.executable, "-m", "tallystick_host", "verify", "-j", "2", "many", "--policy", policy],
        cwd=tally.cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=tally.environment(), start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    while children.exists() and not children.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (130, "", "error: interrupted") == (running.returncode, out, err.strip())
