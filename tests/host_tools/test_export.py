"""`tally export`: what other people's tools get. If these fail, a table holds values that nobody verified, or none."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallystick import jcs, senml, tlog_proof, vc
from tallystick.body import Channel
from tallystick_host import issuer, issuing
from tallystick_host.home import Home
from tests.cold_room import ColdRoom
from tests.host_tools.conftest import Tally
from tests.world import World

P = ("--policy", "policy.toml")


@pytest.fixture(scope="module")
def room() -> ColdRoom:
    return ColdRoom()


@pytest.fixture
def day(tally: Tally, room: ColdRoom) -> Tally:
    """A folder with the day's proofs and a policy."""
    tally.write("policy.toml", room.policy)
    for name in ("proof", "bounded", "pending", "tampered"):
        tally.write(f"{name}.tally", getattr(room, name)())
    return tally


def test_csv(day: Tally) -> None:
    made = day("export", "bounded.tally", "--to", "csv", *P)
    assert (0, "bounded.csv\n", "bounded.tally: VERIFIED\n") == (made.status, made.out, made.err)
    rows = list(csv.DictReader(io.StringIO((day.cwd / "bounded.csv").read_bytes().decode())))
    assert 36 == len(rows)
    assert {
        "time": "2027-01-15T10:02:00Z",
        "device": "6d5591603a822eaa",
        "seq": "4",
        "verdict": "VERIFIED",
        "not_before": "2027-01-15T07:50:00Z",
        "not_after": "2027-01-15T13:02:00Z",
        "temperature [Cel]": "4.47",
        "humidity [%RH]": "77.3",
        "door [/]": "0",
    } == rows[0]


def test_parquet(day: Tally) -> None:
    assert 0 == day("export", "proof.tally", "--to", "parquet", *P).status
    table = pq.read_table(day.cwd / "proof.parquet")
    assert 180 == table.num_rows
    assert pa.timestamp("ms", tz="UTC") == table.schema.field("time").type
    assert pa.float64() == table.schema.field("temperature [Cel]").type
    assert {"VERIFIED"} == set(table.column("verdict").to_pylist())
    assert 3 == table.column("humidity [%RH]").null_count


def test_parquet_without_pyarrow(day: Tally) -> None:
    """A missing package would end in a traceback."""
    day.write("hidden/pyarrow/__init__.py", "raise ImportError('hidden')")
    made = day(
        "export", "proof.tally", "--to", "parquet", *P, env={"PYTHONPATH": str(day.cwd / "hidden")}
    )
    assert (5, "") == (made.status, made.out)
    assert "(export.pyarrow)" in made.err
    assert "hint: pip install 'tallystick[parquet]'" in made.err
    assert not (day.cwd / "proof.parquet").exists()


def test_senml(day: Tally, room: ColdRoom) -> None:
    made = day("export", "bounded.tally", "--to", "senml", "-o", "-", *P)
    values = senml.resolve(senml.from_json(made.out.encode()))
    assert 3 * 36 == len(values)
    first = values[0]
    assert (f"{room.device.did}:temperature", "Cel", "4.47", 1_800_007_320) == (
        first.name,
        first.unit,
        str(first.value),
        first.time,
    )
    assert 0 == day("export", "bounded.tally", "--to", "senml-cbor", *P).status
    again = senml.resolve(senml.from_cbor((day.cwd / "bounded.senmlc").read_bytes()))
    assert [one.name for one in values] == [one.name for one in again]


@pytest.mark.parametrize("form", ["csv", "parquet", "senml", "senml-cbor"])
@pytest.mark.parametrize("name", ["tampered"])
def test_values_that_are_not_verified_are_not_written(day: Tally, name: str, form: str) -> None:
    made = day("export", f"{name}.tally", "--to", form, "-o", "out", *P)
    assert (5, "") == (made.status, made.out)
    assert "(reading.unverified)" in made.err
    assert not (day.cwd / "out").exists()
    marked = form in ("csv", "parquet")
    asked = day("export", f"{name}.tally", "--to", form, "-o", "out", "--unverified", *P)
    assert (0 if marked else 5) == asked.status


def test_unverified_values_are_marked(day: Tally) -> None:
    made = day("export", "tampered.tally", "--to", "csv", "-o", "-", "--unverified", *P)
    rows = list(csv.DictReader(io.StringIO(made.out)))
    assert {"TAMPERED"} == {row["verdict"] for row in rows}
    assert {""} == {row["not_after"] for row in rows}


def test_tlog_proof_and_policy(day: Tally, room: ColdRoom) -> None:
    made = day("export", "proof.tally", "--to", "tlog-proof", "--seq", "9", *P)
    assert 0 == made.status
    proof = (day.cwd / "proof.tlog-proof").read_bytes()
    raw = next(one.raw for one in room.device.records if one.seq == 9)
    assert raw == tlog_proof.verify(proof, room.world.log.vkey)
    day.write("shared.tally", room.shared())
    assert 0 == day("export", "shared.tally", "--to", "tlog-proof", "--seq", "9", *P).status
    assert proof == (day.cwd / "shared.tlog-proof").read_bytes()
    made = day("export", "proof.tally", "--to", "tlog-policy", "-o", "-", *P)
    assert f"log {room.world.log.vkey}\nquorum none\n" == made.out


def test_wrong_use(day: Tally) -> None:
    several = day("export", "proof.tally", "--to", "tlog-proof", *P)
    assert 2 == several.status
    assert "--seq says which one is meant" in several.err
    assert 2 == day("export", "proof.tally", "--to", "tlog-proof", "--seq", "7", *P).status
    assert 2 == day("export", "proof.tally", "--to", "nonsense", *P).status
    unsigned = day("export", "proof.tally", "--to", "cose-receipt", "--seq", "9", *P)
    assert 2 == unsigned.status
    assert "it needs --dir" in unsigned.err
    assert 2 == day("export", "proof.tally", "--to", "csv", "--dir", ".", *P).status
    no_folder = ("--to", "cose-receipt", "--seq", "9", "--dir", "no")
    assert 2 == day("export", "proof.tally", *no_folder, *P).status
    day.write("proof.csv", "mine")
    assert 2 == day("export", "proof.tally", "--to", "csv", *P).status
    assert "mine" == (day.cwd / "proof.csv").read_text()
    assert 0 == day("export", "proof.tally", "--to", "csv", "--force", *P).status
    assert 5 == day("export", "policy.toml", "--to", "csv", *P).status


def test_a_channel_is_no_formula(tally: Tally, tmp_path: Path) -> None:
    """A spreadsheet would run what a board calls its channel."""
    world = World()
    world.device.open(channels=(Channel("=HYPERLINK(1)", "", 0), Channel("b", "", 0)))
    one = world.device.readings([1])
    world.publish()
    tally.write("policy.toml", world.policy_text())
    tally.write("a.tally", world.prove([one]))
    made = tally("export", "a.tally", "--to", "csv", "-o", "-", *P)
    assert ",'=HYPERLINK(1) [],b []" in made.out.splitlines()[0]


def test_json_of_senml_is_json(day: Tally) -> None:
    """Another reader would stumble over our digits."""
    made = day("export", "bounded.tally", "--to", "senml", "-o", "-", *P)
    assert 4.47 == json.loads(made.out)[0]["v"]


def test_vc(tally: Tally) -> None:
    """The credential of a proof would say something else in its other form, or anybody could sign it."""
    tally("init")
    home = Home(tally.home)
    who = issuer.load(home)
    world = World()
    world.device.open()
    world.device.readings()
    issued = issuing.issue(home, who, world.device.did, board="VIRTUAL")
    tally.write("a.tally", world.proof(1, credential=issued.cwt))
    policy = world.policy_text(issuer=False) + f'[[issuers]]\ndid = "{who.key_did}"\n'
    tally.write("policy.toml", policy)
    made = tally("export", "a.tally", "--to", "vc", *P)
    assert (0, "a.vc.json\n") == (made.status, made.out), made.err
    said, signed = (
        jcs.parse(raw) for raw in ((tally.cwd / "a.vc.json").read_bytes(), issued.document)
    )
    assert who.key.public == vc.verify(said, [who.key.public])
    # what was issued with it, to the place in the status lists; the moment of the signature is another
    assert {**said, "proof": None} == {**signed, "proof": None}
    # nobody else can, and nobody is shown what an issuer did not sign
    other = tally("export", "a.tally", "--to", "vc", "--force", *P, env={"TALLY_HOME": "other"})
    assert (2, True) == (other.status, "hint: tally init" in other.err)
    tally("init", env={"TALLY_HOME": "other"})
    other = tally("export", "a.tally", "--to", "vc", "--force", *P, env={"TALLY_HOME": "other"})
    assert (5, True) == (other.status, "(vc.issuer)" in other.err)
    tally.write("policy.toml", world.policy_text())
    other = tally("export", "a.tally", "--to", "vc", "--force", *P)
    assert (5, True) == (other.status, "is not in the policy (device.credential)" in other.err)
