"""The bytes of the board's records, checked with other people's CBOR and Ed25519."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.firmware.bench import Signed, canonical, on_board
from tests.parts import micropython32, micropython64

WIDTHS = pytest.mark.parametrize("program", [micropython64, micropython32])
PREV = bytes(range(100, 132))
HEAD = [100000, PREV, 1790000000]
MILESTONE = [b"ledger!!", bytes(range(32))]
CHECKPOINT = [b"gateway!", 123456, bytes(32)]


@WIDTHS
def test_every_kind_of_record(program: Callable[[], list[str]], tmp_path: Path) -> None:
    """A record that differs in one bit from the specification is rejected by every gateway."""
    lines = on_board(program(), "records.py", tmp_path).splitlines()
    words = [line.split() for line in lines]
    public = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    assert ["key", public.hex(), "-"] == words[0]
    records = {}
    for name, data, identity in words[1:10]:
        record = Signed(bytes.fromhex(data), public)
        assert identity == record.id.hex()
        assert HEAD == record.payload[:3]
        records[name] = record

    sizes = [len(records[f"readings{count}"].data) for count in (1, 10, 60)]
    assert [149, 167, 269] == sizes
    assert [1, 99000, 0, [2150], [487]] == records["readings1"].payload[3:]
    assert [1, 99000, 10] == records["readings60"].payload[3:6]
    column = records["readings10"].payload[6]
    assert [2150 + i * 7 % 20 for i in range(10)] == [sum(column[: i + 1]) for i in range(10)]
    uneven = records["uneven"].payload
    assert [1, 99000, [1, 300, 2], [1, None, -6, 0], [None, None, None, 7]] == uneven[3:]
    assert [[-(2**62), 2**63 - 1]] == records["wide"].payload[6:]
    channels = [[b"temperature", b"Cel", -2], [b"humidity", b"%RH", -1]]
    opened = [0, 3, b"0.1.0", bytes(16), 2, bytes(16), channels, 1000, MILESTONE, CHECKPOINT]
    assert opened == records["open"].payload[3:]
    assert [2, MILESTONE, CHECKPOINT, bytes(16), 17] == records["beacon"].payload[3:]
    assert [2, None, None, None, 0] == records["empty_beacon"].payload[3:]
    assert [3, 0, 17, 1790000000, 5] == records["clock"].payload[3:]
    assert ["overflow", "refused", "-"] == words[10]


@WIDTHS
def test_health_of_randomness(program: Callable[[], list[str]], tmp_path: Path) -> None:
    """A generator that is stuck must not become a key that somebody else can guess."""
    lines = on_board(program(), "records.py", tmp_path).splitlines()
    assert ["health bad -", "health bad -", "health good -"] == lines[-3:]


@WIDTHS
def test_strict_decoding(program: Callable[[], list[str]], tmp_path: Path) -> None:
    """A board that reads loose encodings accepts a message that its gateway would call malformed."""
    good = [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, -1, -24, -25, -(2**64)]
    values = [*good, b"", b"ab", bytes(300), None, [], [1, [2, [b"x", None]]], [0] * 90]
    bad = {
        "longer than needed": "1817",
        "longer than needed, 2 bytes": "190017",
        "length longer than needed": "5801ff",
        "indefinite bytes": "5f4100ff",
        "indefinite array": "9f00ff",
        "bytes left over": "0000",
        "ends early": "4361",
        "nothing": "",
        "array ends early": "8201",
        "huge array": "9affffffff",
        "huge bytes": "5bffffffffffffffff",
        "text": "6161",
        "map": "a10000",
        "tag": "c100",
        "float": "f90000",
        "true": "f5",
        "undefined": "f7",
        "reserved head": "1c",
        "too deep": "818181818100",
        "too many": "985f" + "00" * 95 + "00",
        "many": "9860" + "00" * 96,
    }
    cases = [canonical(value).hex() for value in values] + list(bad.values())
    lines = on_board(program(), "decode.py", tmp_path, typed="\n".join(cases) + "\n").splitlines()
    assert [repr(value) for value in values] == lines[: len(values)]
    assert dict.fromkeys(bad, "refused") == dict(zip(bad, lines[len(values) :], strict=True))
    assert values == [cbor2.loads(bytes.fromhex(case)) for case in cases[: len(values)]]


def test_bench_reports_a_crash(tmp_path: Path) -> None:
    """A script that crashes on the board must not pass as one that printed nothing."""
    with pytest.raises(subprocess.CalledProcessError):
        on_board(micropython64(), "no_such_script.py", tmp_path)
