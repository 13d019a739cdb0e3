"""How fast `tally verify` is beside bare verification of the same signatures, and how much memory it takes.

The program is run as a user runs it, its start included; the proofs are real ones of a simulated board. What is bare is
a loop over `Ed25519PublicKey.verify` in this process, nothing decoded and nothing hashed in the time that is taken.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bench.figure import Figure
from tests.large import proofs
from tests.world import World

RECORDS = 100_000
FILES = 10  # as many records in each as a gateway gives over HTTP
DENSE_RECORDS = 16_667
DENSE_READINGS = 60
MEMORY_RECORDS = 1_000_000
ONE_CORE_BAR = 0.80
TWO_CORES_BAR = 1.7
DENSE_BAR = 4.0
MEMORY_BAR_MB = 300
LOOK_S = 0.2


def environment() -> dict[str, str]:
    """As a user has it: compiled modules are kept from run to run."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}


def tally(*argv: str) -> list[str]:
    """The command line of `tally`."""
    return [str(Path(sys.executable).with_name("tally")), *argv]


class _Site:
    """A board, its proofs in a folder, and the policy that trusts them."""

    def __init__(self, folder: Path, records: int, readings: int) -> None:
        self.world = World()
        self.folder = folder / f"{records}-{readings}"
        self.folder.mkdir()
        made = proofs(self.world, records, files=FILES, readings=readings)
        for number, data in enumerate(made):
            (self.folder / f"{number}.tally").write_bytes(data)
        self.policy = folder / f"{records}-{readings}.toml"
        self.policy.write_text(self.world.policy_text())

    def bare_s(self) -> float:
        """CPU seconds for the signatures alone."""
        raw = self.world.device.first.raw
        key = Ed25519PublicKey.from_public_bytes(raw)
        signed = [(r.signed.signature, r.signed.signed_bytes) for r in self.world.device.records]
        started = time.process_time()
        for signature, message in signed:
            key.verify(signature, message)
        return time.process_time() - started

    def verify_s(self, jobs: int) -> tuple[float, float]:
        """(wall seconds, CPU seconds) of `tally verify` on all files."""
        argv = tally("verify", "-q", "-j", str(jobs), "--policy", str(self.policy))
        return _run([*argv, str(self.folder)])


def _run(argv: Sequence[str]) -> tuple[float, float]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, check=True, env=environment())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


def figures() -> list[Figure]:
    """The speeds, then the memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        single = _Site(folder, RECORDS, 1)
        bare = single.bare_s()
        one_wall, one_cpu = single.verify_s(1)
        two_wall, _ = single.verify_s(2)
        dense = _Site(folder, DENSE_RECORDS, DENSE_READINGS)
        dense_bare = dense.bare_s()
        dense_wall, _ = dense.verify_s(2)
        memory = _memory_mb(single, folder)
    return [
        Figure.at_least(
            "verify 10^5 records, one core",
            round(bare / one_cpu, 2),
            "of bare verify",
            ONE_CORE_BAR,
        ),
        Figure.at_least(
            "the same on 2 cores", round(one_wall / two_wall, 2), "x one core", TWO_CORES_BAR
        ),
        Figure.at_most(
            "10^6 readings, 60 a record, 2 cores",
            round(dense_wall / dense_bare, 2),
            "x bare verify on one",
            DENSE_BAR,
        ),
        Figure.at_most("memory, 10^6 records, all processes", memory, "MB", MEMORY_BAR_MB),
    ]


def _memory_mb(site: _Site, folder: Path) -> int:
    """The most that `tally verify` and its processes held at one time, verifying 10^6 records."""
    many = folder / "many"
    many.mkdir()
    for copy in range(MEMORY_RECORDS // RECORDS):
        for file in site.folder.iterdir():
            os.link(file, many / f"{copy}-{file.name}")
    argv = tally("verify", "-q", "--policy", str(site.policy), str(many))
    running = subprocess.Popen(argv, env=environment())
    most = 0
    while running.poll() is None:
        most = max(most, sum(map(_private_kb, _family(running.pid))))
        time.sleep(LOOK_S)
    if running.returncode:
        raise RuntimeError(f"tally verify ended with {running.returncode}")
    return most // 1024


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(member for child in children for member in _family(int(child)))]


def _private_kb(pid: int) -> int:
    """Its share of the memory that it has in use (Pss): what several processes share is counted once."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
