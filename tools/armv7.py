"""Is everything that the gateway runs on there for a Raspberry Pi: as a pure wheel, or as one for ARM?

It asks pip for the wheels of the gateway's requirements, and of all that they require in turn, for a
64-bit and a 32-bit ARM Linux with glibc (manylinux) at each of some Python versions, and builds none. The
network is needed, nothing is installed. `--index` adds one more index, as piwheels is on a Pi.

    make armv7
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

from tools.parts import ROOT

PYTHONS: Final = ("3.11", "3.13")  # Debian bookworm and trixie, as Raspberry Pi OS has them
ARCHITECTURES: Final = ("aarch64", "armv7l")  # a Pi's 64-bit and 32-bit systems


def platforms(architecture: str) -> list[str]:
    """The wheel tags that such a system takes: of its own glibc and of older ones."""
    newer = [f"manylinux_2_{minor}_{architecture}" for minor in range(36, 16, -1)]
    return [*newer, f"manylinux2014_{architecture}", f"linux_{architecture}"]


def requirements() -> list[str]:
    """What the gateway needs at run time, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["gateway"]]


def wheels(python: str, architecture: str, index: str | None) -> tuple[list[str], str]:
    """The names of the wheels that pip would take; and what it says if there is one missing."""
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    argv += ["--only-binary", ":all:", "--python-version", python, "--implementation", "cp"]
    argv += [word for platform in platforms(architecture) for word in ("--platform", platform)]
    if index:
        argv += ["--extra-index-url", index]
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        argv += ["--target", name, "--report", str(report), *requirements()]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            return [], done.stderr.strip()
        found = json.loads(report.read_text())["install"]
    return sorted(one["download_info"]["url"].rpartition("/")[2] for one in found), ""


def main() -> int:
    """Print the wheels; 1 if one is missing."""
    parser = argparse.ArgumentParser(description="wheels for a Raspberry Pi (armv7)")
    parser.add_argument("--index", help="one more package index to ask")
    given = parser.parse_args()
    missing = 0
    for architecture in ARCHITECTURES:
        for python in PYTHONS:
            found, error = wheels(python, architecture, given.index)
            missing += bool(error)
            built = [name for name in found if not name.endswith("-any.whl")]
            pure = len(found) - len(built)
            print(f"{architecture}, python {python}: {len(found)} wheels, {pure} of them pure")
            for name in built:
                print(f"  {name}")
            if error:
                print(f"error: {error.splitlines()[-1]}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
