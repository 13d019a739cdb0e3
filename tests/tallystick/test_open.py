"""`tallystick.open` in a notebook: rows of what is verified, and of nothing else.

If these fail, somebody plots a forged number without having been told.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

import tallystick
from tallystick import Status, UnverifiedError, policy, proof, reading
from tallystick.body import Channel, Readings
from tallystick.errors import FormatError, LimitError, PolicyError
from tests.cold_room import ColdRoom
from tests.world import START, World


@pytest.fixture
def room() -> ColdRoom:
    return ColdRoom()


def written(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_rows_of_a_verified_proof(tmp_path: Path, room: ColdRoom) -> None:
    file = written(tmp_path, "day.tally", room.proof())
    trusted = written(tmp_path, "policy.toml", room.policy)
    day = tallystick.open(file, policy=trusted)
    rows = day.readings()
    assert Status.VERIFIED is day.status
    assert 180 == len(rows)
    assert ["time", "seq", "verdict", "temperature [Cel]", "humidity [%RH]", "door [/]"] == list(
        rows[0]
    )
    assert ("2027-01-15T10:02:00Z", 4, "VERIFIED") == tuple(rows[0].values())[:3]
    assert "2027-01-15T10:07:00Z" == rows[1]["time"]
    assert isinstance(rows[0]["temperature [Cel]"], float)
    assert None in {row["humidity [%RH]"] for row in rows}
    # a table with typed columns, as pandas and its kin make one
    table = pa.Table.from_pylist(rows)
    assert pa.float64() == table.schema.field("humidity [%RH]").type
    assert "<VERIFIED: 180 readings, seq 3..24>" == repr(day)


def test_a_report_opens_like_its_proof(tmp_path: Path, room: ColdRoom) -> None:
    import base64

    page = (
        b'<!doctype html><script type="application/vnd.tallystick.proof" id="proof">\n'
        + base64.b64encode(room.bounded())
        + b"\n</script>"
    )
    trusted = policy.parse(room.policy.encode())
    assert 36 == len(tallystick.open(written(tmp_path, "day.html", page), trusted).readings())


@pytest.mark.parametrize("sample", ["tampered", "pending", "forked"])
def test_refuses_what_is_not_verified(tmp_path: Path, room: ColdRoom, sample: str) -> None:
    """Values of a forged file would look like measurements."""
    file = written(tmp_path, "day.tally", getattr(room, sample)())
    day = tallystick.open(str(file), policy.parse(room.policy.encode()))
    with pytest.raises(UnverifiedError, match=str(day.status)) as caught:
        day.readings()
    assert "reading.unverified" == caught.value.code
    assert "unverified=True" in caught.value.hint
    rows = day.readings(unverified=True)
    assert {str(day.status)} == {row["verdict"] for row in rows}


def test_nobody_is_trusted_by_default(
    tmp_path: Path, room: ColdRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook without a policy would take every proof for true."""
    file = written(tmp_path, "day.tally", room.bounded())
    monkeypatch.setenv("TALLY_HOME", str(tmp_path / "home"))
    with pytest.raises(PolicyError) as caught:
        tallystick.open(file)
    assert "policy.missing" == caught.value.code
    (tmp_path / "home").mkdir()
    written(tmp_path / "home", "policy.toml", "version = 1\n")
    assert Status.UNTRUSTED is tallystick.open(file).status
    written(tmp_path / "home", "policy.toml", room.policy)
    assert Status.VERIFIED is tallystick.open(file).status


def test_files_that_cannot_be_used(tmp_path: Path, room: ColdRoom) -> None:
    trusted = policy.parse(room.policy.encode())
    with pytest.raises(FormatError):
        tallystick.open(written(tmp_path, "a.tally", b""), trusted)
    with pytest.raises(FormatError):
        tallystick.open(written(tmp_path, "b.tally", b"nonsense"), trusted)
    with pytest.raises(FormatError):
        tallystick.open(written(tmp_path, "c.html", b"<!doctype html>"), trusted)
    with pytest.raises(OSError, match="nothing"):
        tallystick.open(tmp_path / "nothing.tally", trusted)
    big = written(tmp_path, "policy.toml", b"#" * (2**20 + 1))
    with pytest.raises(LimitError):
        tallystick.open(written(tmp_path, "d.tally", room.bounded()), big)


def test_values_are_exact_and_columns_cannot_collide() -> None:
    world = World()
    channels = (Channel("time", "", -3), Channel("time", "", 2), Channel("verdict", "VERIFIED", 0))
    world.device.open(channels=channels, time=300)
    body = Readings(0, (1, 250), ((1, 2**40, -5), (7, None, 0), (0, 0, 1)))
    one = world.device.sign(body, time=400)
    world.publish(START)
    rows = list(reading.readings(proof.parse(world.prove([one]))))
    assert [
        {
            "time []": Decimal("0.001"),
            "time [] 2": Decimal("700"),
            "verdict [VERIFIED]": Decimal(0),
        },
        {"time []": Decimal("1099511627.776"), "time [] 2": None, "verdict [VERIFIED]": Decimal(0)},
        {"time []": Decimal("-0.005"), "time [] 2": Decimal(0), "verdict [VERIFIED]": Decimal(1)},
    ] == [row.values for row in rows]
    assert [(None, 400_000), (None, 401_000), (None, 651_000)] == [
        (row.time, row.time_ms) for row in rows
    ]


def test_readings_without_their_open_are_refused() -> None:
    """Integers would be handed out without their scale."""
    world = World()
    world.device.open()
    one = world.device.readings([215])
    world.publish()
    parsed = proof.parse(world.prove([one], opens=[]))
    with pytest.raises(FormatError) as caught:
        list(reading.readings(parsed))
    assert "reading.open" == caught.value.code
