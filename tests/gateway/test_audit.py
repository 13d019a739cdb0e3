"""The audit of a log that nobody trusts: growth is cosigned, a fork is shouted and kept."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from tallystick import checkpoint, merkle, note
from tallystick.cosignature import WitnessKey
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey
from tallystick_gateway.commands.audit import command as audit
from tallystick_gateway.http import Server
from tallystick_gateway.log import Log
from tallystick_gateway.witness import Refused, Status, Witness
from tallystick_gateway.witness_http import application
from tests.gateway.boards import Board
from tests.gateway.running import Field, Gateway, command, eventually
from tests.gateway.test_log import entries_of, some
from tests.parts import LOOPBACK, free_port

NOW = 1_795_000_000
KEY = PrivateKey.from_seed(bytes(range(32)))
NAME = "example.com/some-log"
LOG = VerifierKey(NAME, KEY.public)


def shown(folder: Path, leaves: list[bytes], *, extension: str = "") -> bytes:
    """A stranger's log in a folder: its tiles and a signed checkpoint."""
    tree = Log.open(folder, entries_of(leaves), 0)
    tree.append(leaves)
    tree.publish()
    root = base64.b64encode(tree.root()).decode()
    raw = note.sign(f"{NAME}\n{len(leaves)}\n{root}\n{extension}", KEY, NAME)
    (folder / "checkpoint").write_bytes(raw)
    return raw


@dataclass
class Auditor:
    """The command on one log."""

    log: Path
    state: Path

    def look(self, status: int) -> dict[str, object]:
        """One look, which ends the command with `status`."""
        argv = [str(self.log), "--key", str(LOG), "--state", str(self.state), "--once", "--json"]
        ended = CliRunner().invoke(audit, argv)
        assert status == ended.exit_code, ended.stderr
        said: dict[str, object] = json.loads(ended.stdout)
        return said

    @property
    def kept(self) -> Path:
        """Where the checkpoint is kept."""
        return next(self.state.glob("*/checkpoint"))


@pytest.fixture
def auditor(tmp_path: Path) -> Auditor:
    """An audit of a folder."""
    return Auditor(tmp_path / "log", tmp_path / "state")


def test_growth_is_followed_and_cosigned(auditor: Auditor) -> None:
    """Somebody who trusts the witness sees that the log only grew, from the kept note alone."""
    leaves = some(700)
    shown(auditor.log, leaves[:300], extension="an extension line\n")
    assert {"look": "grew", "before": None, "size": 300}.items() <= auditor.look(0).items()
    shown(auditor.log, leaves)
    assert {"look": "grew", "before": 300, "size": 700}.items() <= auditor.look(0).items()
    assert "same" == auditor.look(0)["look"]

    witness = PrivateKey.from_pem((auditor.state / "witness.key").read_bytes())
    kept = note.parse(auditor.kept.read_bytes())
    kept.verify(LOG)
    key = WitnessKey(f"tallystick-witness/{witness.public.kid.hex()}", witness.public)
    assert (key.seen_at(kept) or 0) > NOW
    assert 0o600 == (auditor.state / "witness.key").stat().st_mode & 0o777


@pytest.mark.parametrize("size", [300, 299, 700])
def test_a_fork_is_kept_and_ends_the_cosigning(auditor: Auditor, size: int) -> None:
    """Two notes of one key that contradict each other: both are kept, and nothing is cosigned after."""
    leaves = some(700)
    first = shown(auditor.log, leaves[:300])
    auditor.look(0)
    other = [b"another history", *leaves[1:]]
    second = shown(auditor.log, other[:size])
    # a smaller tree contradicts only what can still be looked at
    if size < 300:
        assert "older" == auditor.look(1)["look"]
        return

    found = auditor.look(1)

    assert "fork" == found["look"]
    place = Path(str(found["evidence"]))
    assert (first, second) == (
        (place / "first.note").read_bytes()[: len(first)],
        (place / "second.note").read_bytes(),
    )
    shown(auditor.log, leaves)
    assert "fork" == auditor.look(1)["look"]


def test_tiles_that_lead_nowhere_are_no_fork(auditor: Auditor) -> None:
    """A damaged disk over there must not read as a crime."""
    leaves = some(700)
    shown(auditor.log, leaves[:300])
    auditor.look(0)
    shown(auditor.log, leaves)
    tile = auditor.log / "tile" / "0" / "001"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    assert "invalid" == auditor.look(1)["look"]
    tile.unlink()
    assert "unreachable" == auditor.look(5)["look"]


def test_a_note_of_another_key_is_not_the_logs(auditor: Auditor) -> None:
    """Who can write the file cannot speak for the log."""
    shown(auditor.log, some(5))
    raw = checkpoint.sign(PrivateKey.generate(), NAME, 5, bytes(32))
    (auditor.log / "checkpoint").write_bytes(raw)
    assert "invalid" == auditor.look(1)["look"]
    (auditor.log / "checkpoint").unlink()
    assert "unreachable" == auditor.look(5)["look"]


def test_a_running_gateway_is_audited_over_http(
    gateway: Gateway, field: Field, tmp_path: Path
) -> None:
    """The audit needs nothing of the gateway but its public side."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    records = board.fill(300)
    for upto in (100, 300):
        field.send(board, records[upto - 200 if upto == 300 else 0 : upto])
        eventually(lambda: gateway.json("/healthz")["signed"] == upto, "checkpoint")  # noqa: B023
        ended = command(
            *("audit", f"http://{LOOPBACK}:{gateway.http}", "--key", gateway.line),
            *("--state", tmp_path / "state", "--once", "--json"),
        )
        assert upto == json.loads(ended.stdout)["size"]


# ---- the witness interface


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A witness over HTTP."""
    witness = Witness(
        tmp_path / "state", [LOG], "witness.example/w", PrivateKey.from_seed(bytes(32))
    )
    port = free_port()
    server = Server(application(witness), LOOPBACK, port)
    server.start()
    yield f"http://{LOOPBACK}:{port}"
    server.stop()


class Sender:
    """A log that asks for cosignatures."""

    def __init__(self, url: str) -> None:
        self.url, self.leaves = url, some(100)
        self.hashes = [merkle.leaf_hash(one) for one in self.leaves]

    def ask(self, old: int, size: int, **changes: object) -> httpx.Response:
        """`add-checkpoint` from `old` to `size`."""
        root = changes.get("root", merkle.root(self.hashes[:size]))
        assert isinstance(root, bytes)
        proof = changes.get("proof")
        if not isinstance(proof, list):
            proof = merkle.consistency_path(self.hashes[:size], min(old, size))
        lines = "".join(f"{base64.b64encode(one).decode()}\n" for one in proof)
        key, name = changes.get("key", KEY), changes.get("name", NAME)
        assert isinstance(key, PrivateKey)
        assert isinstance(name, str)
        raw = checkpoint.sign(key, name, size, root)
        head = f"old {changes.get('said', old)}\n"
        return httpx.post(
            f"{self.url}/add-checkpoint", content=head.encode() + lines.encode() + b"\n" + raw
        )


def test_add_checkpoint_by_the_rules_of_tlog_witness(served: str) -> None:
    """Every status of the specification, in the order in which a client meets them."""
    log = Sender(served)
    assert 200 == log.ask(0, 10).status_code
    conflict = log.ask(0, 20)
    assert (409, "10\n", "text/x.tlog.size") == (
        conflict.status_code,
        conflict.text,
        conflict.headers["content-type"].split(";")[0],
    )
    assert 422 == log.ask(10, 20, proof=[bytes(32)] * 3).status_code
    assert 200 == log.ask(10, 20).status_code
    assert 200 == log.ask(20, 20).status_code
    assert 403 == log.ask(20, 30, key=PrivateKey.generate()).status_code
    assert 404 == log.ask(20, 30, name="example.com/other").status_code
    assert 400 == log.ask(30, 20, proof=[]).status_code
    assert 400 == log.ask(20, 30, said="020").status_code
    assert 400 == httpx.post(f"{served}/add-checkpoint", content=b"\xff" * 9).status_code
    assert 400 == httpx.post(f"{served}/add-checkpoint", content=b"x" * 99_999).status_code
    assert 422 == log.ask(20, 20, root=bytes(32)).status_code
    # that was a fork: from now on nothing
    assert 422 == log.ask(20, 30).status_code


def test_the_kept_checkpoint_is_served(served: str) -> None:
    """A monitor fetches the newest note with both signatures, and finds the cosignature good."""
    from hashlib import sha256

    url = f"{served}/{sha256(NAME.encode()).hexdigest()}/checkpoint"
    assert 404 == httpx.get(url).status_code
    line = Sender(served).ask(0, 10).text
    kept = note.parse(httpx.get(url).content)
    kept.verify(LOG)
    assert kept.raw.decode().endswith(line)
    key = WitnessKey("witness.example/w", PrivateKey.from_seed(bytes(32)).public)
    assert (key.seen_at(kept) or 0) > 0


def test_a_rollback_is_not_cosigned_after_a_restart(tmp_path: Path) -> None:
    """What was cosigned is on disk before anybody sees the cosignature."""
    key, hashes = PrivateKey.from_seed(bytes(32)), [merkle.leaf_hash(one) for one in some(30)]

    def again() -> Witness:
        return Witness(tmp_path, [LOG], "w", key)

    def signed(size: int) -> note.Note:
        return note.parse(checkpoint.sign(KEY, NAME, size, merkle.root(hashes[:size])))

    again().update(signed(20), 0, [], NOW)
    with pytest.raises(Refused) as refused:
        again().update(signed(10), 0, [], NOW)
    assert (Status.ANOTHER_SIZE, 20) == (refused.value.status, refused.value.size)
