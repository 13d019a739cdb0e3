"""`tally`, run as a user runs it: a process, its two streams, its exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.world import World

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True)
class Ran:
    """What a run left: `out` is stdout, `err` stderr, as text."""

    status: int
    out: str
    err: str


class Tally:
    """`tally(...)` runs the command in an empty folder `cwd` with its own home folder."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.home = cwd / "home"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k.lower() not in _PROXIES}
        return {**kept, "TALLY_HOME": str(self.home), "COLUMNS": "120", **(more or {})}

    def __call__(self, *argv: str | bytes | Path, env: Mapping[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "tallystick_host", *argv],
            cwd=self.cwd,
            env=self.environment(env),
            capture_output=True,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def write(self, name: str, data: bytes | str) -> Path:
        """A file in `cwd`."""
        path = self.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    return Tally(tmp_path)


@pytest.fixture
def world() -> World:
    """A board that has signed an `open` (seq 0) and two records with readings (seq 1 and 2)."""
    made = World()
    made.device.open()
    made.device.readings([215, None, 217])
    made.device.readings([218])
    return made
