"""`tally-ledger bridge` in the hands of somebody who makes mistakes.

If this fails, a key or a token stands where others read it, or an operator does not learn what is wrong.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick.checkpoint import gateway_name
from tallystick.note import VerifierKey
from tests.ledger.bridge_site import Bridge
from tests.ledger.site import gateway_key
from tests.parts import LOOPBACK, free_port
from tools.conflux import FUNDED

pytestmark = pytest.mark.timeout(300)
TOKEN = "0123456789abcdef0123456789abcdef"
GATEWAY = str(VerifierKey(gateway_name(gateway_key().public), gateway_key().public))


def run(*words: str | Path, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit status, stdout, stderr of `tally-ledger bridge`."""
    done = subprocess.run(
        [sys.executable, "-m", "tallystick_ledger", "bridge", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    """A new bridge that never runs."""
    return Bridge(tmp_path / "bridge", free_port())


def test_a_new_bridge(tmp_path: Path) -> None:
    """Others could read the key that pays; or a second `init` would throw it away."""
    status, out, err = run("init", "--dir", tmp_path / "b", "--chain", "1030")
    assert 0 == status
    name, account = out.split()
    assert name.startswith("tallystick-ledger/")
    assert account.startswith("eip155:1030:0x")
    assert account in err
    key = tmp_path / "b" / "payer.key"
    assert 0o600 == stat.S_IMODE(key.stat().st_mode)
    secret = key.read_text().strip()
    assert 64 == len(secret)
    assert secret not in out + err
    assert (0, out, "") == run("identity", "--dir", tmp_path / "b")
    status, out, err = run("init", "--dir", tmp_path / "b", "--chain", "1030")
    assert (1, "") == (status, out)
    assert "never overwritten" in err
    assert secret == key.read_text().strip()


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (FUNDED[0], 0o644, "others may read the key"),
        ("no key at all " + TOKEN, 0o600, "is not a key of 64 hex digits"),
        ("00" * 32, 0o600, "holds no key of secp256k1"),
        ("ff" * 32, 0o600, "holds no key of secp256k1"),
        (FUNDED[0] + "00", 0o600, "is not a key of 64 hex digits"),
    ],
)
def test_a_key_that_will_not_do(tmp_path: Path, text: str, mode: int, said: str) -> None:
    """A key that others have read would pay; or the error would show it."""
    key = tmp_path / "given"
    key.write_text(text)
    key.chmod(mode)
    status, out, err = run("init", "--dir", tmp_path / "b", "--chain", "1030", "--key-file", key)
    assert (1, "") == (status, out)
    assert said in err
    assert text not in err
    # nothing is left half made: the next try is the first
    key.write_text(FUNDED[0])
    key.chmod(0o600)
    assert 0 == run("init", "--dir", tmp_path / "b", "--chain", "1030", "--key-file", key)[0]


def test_a_key_whose_file_was_opened(bridge: Bridge) -> None:
    """A bridge would go on paying with a key that everybody has."""
    (bridge.folder / "payer.key").chmod(0o640)
    status, _, err = run(
        *("evm", "--dir", bridge.folder, "--broker", f"{LOOPBACK}:1", "--budget", "1"),
        *("--rpc", "http://127.0.0.1:1"),
    )
    assert 1 == status
    assert "chmod 600" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--budget", "1"), "give --rpc URL or --rpc-file FILE"),
        (("--budget", "x", "--rpc", "http://127.0.0.1:1"), "'x' is not an amount of coins"),
        (("--budget", "1", "--rpc", "ftp://x"), "not the http or https URL of a node"),
        (("--budget", "1", "--rpc", f"https://rpc.example/v3/{TOKEN}"), "give --rpc-file FILE"),
        (("--budget", "1", "--rpc", f"https://u:{TOKEN}@rpc.example"), "give --rpc-file FILE"),
        (("--budget", "1", "--rpc-file", "/nowhere"), "cannot read the URL in '/nowhere'"),
        (
            ("--budget", "1", "--rpc", "http://127.0.0.1:1", "--follow", GATEWAY),
            "is not the line of a ledger",
        ),
        (("--rpc", "http://127.0.0.1:1"), "budget"),
    ],
)
def test_a_start_that_cannot_be(bridge: Bridge, words: tuple[str, ...], said: str) -> None:
    """A mistake would be paid for, or a token shown."""
    status, out, err = run("evm", "--dir", bridge.folder, "--broker", f"{LOOPBACK}:1", *words)
    assert status in (1, 2)
    assert said in err
    assert TOKEN not in out + err


def test_a_token_stands_in_no_log(bridge: Bridge, tmp_path: Path) -> None:
    """Whoever reads the journal could use the operator's account at the node."""
    listed = tmp_path / "rpc.url"
    listed.write_text(f"http://user:{TOKEN}@{LOOPBACK}:{free_port()}/v3/{TOKEN}?key={TOKEN}\n")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tallystick_ledger", "bridge", "evm"),
            *("--dir", str(bridge.folder), "--broker", f"{LOOPBACK}:{free_port()}"),
            *("--rpc-file", str(listed), "--budget", "1"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seen = ""
    assert process.stdout is not None
    for line in process.stdout:
        seen += line
        if "not posting" in line:
            break
    process.terminate()
    seen += process.stdout.read()
    assert 0 == process.wait(30)
    assert "not posting" in seen
    assert TOKEN not in seen
    assert (bridge.folder / "payer.key").read_text().strip() not in seen
    assert TOKEN not in json.dumps(bridge.status())


def test_gateways_on_the_list(bridge: Bridge) -> None:
    """Anybody's line would be paid for, or one twice."""
    assert 0 == run("allow", "--dir", bridge.folder, GATEWAY)[0]
    status, _, err = run("allow", "--dir", bridge.folder, GATEWAY)
    assert 0 == status
    assert "on the list already" in err
    assert [GATEWAY.partition("+")[0]] == bridge.status()["gateways"]
    for wrong in ("nonsense", bridge.name, GATEWAY[:-4]):
        status, _, err = run("allow", "--dir", bridge.folder, wrong)
        assert 1 == status
        assert "tally-gateway identity prints the line" in err
    status, _, err = run("allow", "--dir", bridge.folder / "elsewhere", GATEWAY)
    assert 1 == status
    assert "hint: run tally-ledger" in err


def test_status_before_anything(bridge: Bridge) -> None:
    """The first look would end in an error."""
    status, out, err = run("status", "--dir", bridge.folder)
    assert (0, "") == (status, err)
    assert "nothing anchored yet" in out
    found = bridge.status()
    assert (0, None) == (found["records"], found["cost_per_million_readings"])
