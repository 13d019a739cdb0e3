"""Power cuts, and what damage to flash and non-volatile storage leads to."""

from __future__ import annotations

import json
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.firmware.bench import Signed, board_command, check_chain, genesis_prev, kid, on_board
from tests.parts import micropython32, micropython64

SEED = 20261121


def grow(folder: Path, program: list[str], until: float) -> list[str]:
    """Run a board that signs without a pause, cut its power after `until` seconds; what it had printed."""
    flash = folder / "flash"
    flash.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        board_command(program, "grow.py"), cwd=flash, stdout=subprocess.PIPE, text=True
    )
    time.sleep(until)
    process.kill()
    said, _ = process.communicate()
    return said.splitlines()


def start_line(lines: list[str]) -> list[str]:
    return next(line.split(maxsplit=5) for line in lines if line.startswith("start"))


def frames(folder: Path) -> list[bytes]:
    """The records on the board's flash, in order; the frame is length, CRC-32, record."""
    found = []
    for path in sorted((folder / "flash" / "journal").glob("*.log")):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:2], "big")
            assert len(data) >= 6 + length, f"{path.name} ends in a torn frame"
            found.append(data[6 : 6 + length])
            data = data[6 + length :]
    return found


def check_journal(folder: Path, public: bytes) -> list[Signed]:
    """Every record is whole, signed, linked, and there is one for each seq."""
    records = [Signed(data, public) for data in frames(folder)]
    assert list(range(len(records))) == [record.seq for record in records]
    check_chain(records, genesis_prev(public))
    return records


def settled(folder: Path, program: list[str]) -> list[str]:
    """Start the board once, let it reconcile, and end it; its `start` line in words."""
    return start_line(on_board(program, "grow.py", folder, "once").splitlines())


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Two records with one seq prove a cloned key: a power cut must never make an honest board sign them."""
    chance = random.Random(SEED)
    program = micropython64()
    signed: dict[int, int] = {}
    public = b""
    for life in range(12):
        lines = grow(tmp_path, program, 0.15 + chance.random() * 0.25)
        for line in lines:
            if line.startswith("key"):
                public = bytes.fromhex(line.split()[1])
            if line.startswith("signed") and line.split()[1:]:
                seq = int(line.split()[1])
                assert seq not in signed, f"seq {seq} was signed in lives {signed[seq]} and {life}"
                signed[seq] = life
    settled(tmp_path, program)
    records = check_journal(tmp_path, public)
    # the last printed line may itself be cut off; what was printed whole is on flash
    assert set(signed) <= {record.seq for record in records}
    assert len(records) > 50
    assert len(set(signed.values())) > 6


def grown(folder: Path, program: list[str]) -> tuple[bytes, list[bytes]]:
    """A board with some records; its public key and their bytes."""
    lines = grow(folder, program, 0.5)
    settled(folder, program)
    public = bytes.fromhex(lines[0].split()[1])
    check_journal(folder, public)
    return public, frames(folder)


@pytest.mark.parametrize("program", [micropython64, micropython32])
def test_torn_tail_is_cut(tmp_path: Path, program: object) -> None:
    """A half written record must not hide the records that are appended behind it."""
    argv = micropython32() if program is micropython32 else micropython64()
    public, before = grown(tmp_path, micropython64())
    newest = sorted((tmp_path / "flash" / "journal").glob("*.log"))[-1]
    whole = newest.read_bytes()
    for torn in (b"\0", b"\x00\xc8\x12", b"\x00\xc8\x12\x34\x56\x78" + bytes(80), b"\xff" * 100):
        newest.write_bytes(whole + torn)
        words = settled(tmp_path, argv)
        assert [str(len(before)), "0", str(len(before) - 1)] == words[1:4]
        assert whole == newest.read_bytes()
    check_journal(tmp_path, public)


def nvs(folder: Path) -> dict[str, dict[str, object]]:
    return dict(json.loads((folder / "nvs.json").read_text()))


def test_journal_ahead_of_head(tmp_path: Path) -> None:
    """Power that fails between journal and head must not lead to a second record with that seq."""
    program = micropython64()
    _, before = grown(tmp_path, program)
    slots = nvs(tmp_path)
    newest = max(("head_a", "head_b"), key=lambda name: str(slots["tally"][name])[:8])
    # the older slot stands one record further back
    del slots["tally"][newest]
    (tmp_path / "nvs.json").write_text(json.dumps(slots))
    words = settled(tmp_path, program)
    assert [str(len(before)), "0", str(len(before) - 1), "None"] == words[1:4] + words[4].split()[
        :1
    ]


@pytest.mark.parametrize("damage", ["newest", "both"])
def test_damaged_head(tmp_path: Path, damage: str) -> None:
    """One damaged slot costs nothing. Without any head a board that signs on may fork its own chain."""
    program = micropython64()
    _, before = grown(tmp_path, program)
    slots = nvs(tmp_path)
    names = sorted(("head_a", "head_b"), key=lambda name: str(slots["tally"][name])[:8])
    for name in names[1:] if damage == "newest" else names:
        entry = str(slots["tally"][name])
        slots["tally"][name] = entry[:40] + ("0" if entry[40] != "0" else "1") + entry[41:]
    (tmp_path / "nvs.json").write_text(json.dumps(slots))
    line = " ".join(settled(tmp_path, program))
    if damage == "newest":
        assert line.startswith(f"start {len(before)} 0 {len(before) - 1} None None")
    else:
        assert line.startswith("start None")
        assert line.endswith("the board has a key and no head")


def test_lost_flash_is_named(tmp_path: Path) -> None:
    """A board whose file system was lost must say so, and not begin again at seq 0."""
    program = micropython64()
    _, before = grown(tmp_path, program)
    for path in (tmp_path / "flash" / "journal").glob("*.log"):
        path.unlink()
    words = " ".join(settled(tmp_path, program))
    assert f"start {len(before)} None None (0, {len(before) - 1}) None" == words
    lines = grow(tmp_path, program, 0.3)
    public = bytes.fromhex(lines[0].split()[1])
    settled(tmp_path, program)
    first = Signed(frames(tmp_path)[0], public)
    assert len(before) == first.seq
    assert Signed(before[-1], public).id == first.prev


def test_partly_lost_flash(tmp_path: Path) -> None:
    """A file system that was restored from a copy lacks the newest records: exactly those are named."""
    program = micropython64()
    public, before = grown(tmp_path, program)
    newest = sorted((tmp_path / "flash" / "journal").glob("*.log"))[-1]
    data = newest.read_bytes()
    newest.write_bytes(data[: -6 - len(before[-1]) - 6 - len(before[-2])])
    words = " ".join(settled(tmp_path, program))
    count = len(before)
    assert f"start {count} 0 {count - 3} ({count - 2}, {count - 1}) None" == words
    assert Signed(before[-1], public).seq == count - 1


def test_key_that_does_not_match(tmp_path: Path) -> None:
    """A board with a damaged key would sign as nobody: it refuses, and never makes a new key instead."""
    program = micropython64()
    public, _ = grown(tmp_path, program)
    content = nvs(tmp_path)
    entry = str(content["tally"]["key"])
    assert public.hex() == entry[64:]
    for damaged in (
        ("0" if entry[0] != "0" else "1") + entry[1:],
        entry[:-1] + ("0" if entry[-1] != "0" else "1"),
        entry[:-2],
    ):
        content["tally"]["key"] = damaged
        (tmp_path / "nvs.json").write_text(json.dumps(content))
        with pytest.raises(subprocess.CalledProcessError) as refused:
            settled(tmp_path, program)
        assert "KeyFault" in refused.value.stderr + refused.value.stdout
        assert damaged[:64] not in refused.value.stderr + refused.value.stdout
        assert damaged == nvs(tmp_path)["tally"]["key"]
    assert kid(public)


@pytest.mark.parametrize("upto", [-1, 400, 999])
def test_full_flash(tmp_path: Path, upto: int) -> None:
    """A full flash must free what a gateway has; what nobody has may go only if the chain says so."""
    lines = [
        line.split()
        for line in on_board(micropython64(), "fill.py", tmp_path, str(upto)).splitlines()
    ]
    public = bytes.fromhex(lines[0][1])
    (first,) = [int(words[1]) for words in lines if words[0] == "kept"]
    events = [Signed(bytes.fromhex(words[2]), public) for words in lines if words[0] == "event"]
    assert first > 500
    assert [["readable", str(1000 - first)]] == [words for words in lines if words[0] == "readable"]
    pruned = [event.payload[5:] for event in events if event.payload[3:5] == [3, 2]]
    assert len(pruned) == len(events)
    given_up = {seq for start, end in pruned for seq in range(start, end + 1)}
    assert given_up == set(range(upto + 1, first))


def test_power_cut_at_every_write(tmp_path: Path) -> None:
    """On the board's own file system, littlefs: a record that was taken is there after a cut at any write."""
    lines = on_board(micropython64(), "cuts.py", tmp_path).splitlines()
    assert "taken 12" == lines[0]
    assert int(lines[1].split()[1]) > 50
    # the port also prints the errors of files that are collected after the cut
    assert [] == [line for line in lines if line.startswith(("lost", "torn"))]
    assert "end" == lines[-1]
