"""A log as others read it: `aics-tlog`, a client of C2SP logs that others wrote, against a running gateway.

If this fails, the promise that any C2SP tool can check our logs is a promise.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tallystick import checkpoint
from tests.gateway.boards import Board
from tests.gateway.running import Field, Gateway, eventually
from tests.parts import LOOPBACK, tlog_client

EARLY, LATE = 100, 600  # past two full tiles


class Client:
    """Its command, for one log."""

    def __init__(self, folder: Path, url: str, key: str) -> None:
        self._folder = folder
        self._log = ("--tiles", url, "--log-key", key)

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        first, *rest = map(str, words)
        return subprocess.run(
            [*tlog_client(), first, *self._log, *rest],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.mark.timeout(180)
def test_a_stock_client_checks_the_log(tmp_path: Path, gateway: Gateway, field: Field) -> None:
    board = Board()
    gateway.enrol(board)
    gateway.start()
    client = Client(tmp_path, f"http://{LOOPBACK}:{gateway.http}", gateway.line)

    def grown(size: int) -> bytes:
        """The checkpoint of a log of so many records."""
        more = size - len(board.records)
        field.send(
            board, [board.read() for _ in range(more)] if board.records else board.fill(more)
        )
        raw = eventually(lambda: _sized(gateway, size), f"a checkpoint of {size}", 60)
        (tmp_path / f"{size}.note").write_bytes(raw)
        return raw

    grown(EARLY)
    newest = grown(LATE)
    done = client("verify-checkpoint")
    assert 0 == done.returncode, done.stderr
    for index in (0, 255, 256, EARLY, LATE - 1):
        (tmp_path / "leaf").write_bytes(board.records[index].raw)
        done = client("verify-inclusion", "--index", str(index), "--leaf", "leaf")
        assert 0 == done.returncode, done.stderr
    done = client("verify-consistency", "--old-checkpoint", f"{EARLY}.note")
    assert 0 == done.returncode, done.stderr
    # it would see what is not so
    (tmp_path / "leaf").write_bytes(board.records[1].raw)
    assert 0 != client("verify-inclusion", "--index", "2", "--leaf", "leaf").returncode
    size = checkpoint.parse(newest).size
    forged = newest.replace(f"\n{size}\n".encode(), f"\n{size - 1}\n".encode(), 1)
    (tmp_path / "forged.note").write_bytes(forged)
    assert 0 != client("verify-consistency", "--old-checkpoint", "forged.note").returncode


def _sized(gateway: Gateway, size: int) -> bytes | None:
    answer = gateway.get("/checkpoint")
    if not answer.is_success:
        return None
    return answer.content if checkpoint.parse(answer.content).size == size else None
