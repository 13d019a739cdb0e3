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
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from packaging.markers import default_environment
from packaging.requirements import Requirement

from tools.parts import ROOT

PYTHONS: Final = ("3.11", "3.13")  # Debian bookworm and trixie, as Raspberry Pi OS has them
ARCHITECTURES: Final = ("aarch64", "armv7l")  # a Pi's 64-bit and 32-bit systems


def platforms(architecture: str) -> list[str]:
    """The wheel tags that such a system takes: of its own glibc and of older ones."""
    newer = [f"manylinux_2_{minor}_{architecture}" for minor in range(36, 16, -1)]
    return [*newer, f"manylinux2014_{architecture}", f"linux_{architecture}"]


def environment(python: str, architecture: str) -> dict[str, str]:
    """What markers ask of such a system; pip would answer them for this one."""
    return {
        **{name: str(value) for name, value in default_environment().items()},
        "platform_machine": architecture,
        "python_version": python,
        "python_full_version": f"{python}.0",
        "extra": "",
    }


def requirements(python: str, architecture: str) -> list[str]:
    """What the gateway needs at run time there: from pyproject.toml, and what that needs in turn, as the
    packages of this machine say.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    todo = [*project["dependencies"], *project["optional-dependencies"]["gateway"]]
    there = environment(python, architecture)
    found: dict[str, str] = {}
    while todo:
        one = Requirement(todo.pop())
        if one.marker is not None and not one.marker.evaluate(there):
            continue
        if one.name.lower() not in found:
            found[one.name.lower()] = f"{one.name}{one.specifier}"
            todo += distribution(one.name).requires or []
    return sorted(found.values())


def wheels(python: str, architecture: str, index: str | None) -> tuple[list[str], list[str]]:
    """The names of the wheels that pip would take, and the requirements for which it finds none."""
    wanted = requirements(python, architecture)
    found = _ask(wanted, python, architecture, index)
    if found is not None:
        return found, []
    one_by_one = {one: _ask([one], python, architecture, index) for one in wanted}
    return (
        sorted(name for names in one_by_one.values() for name in names or []),
        [one for one, names in one_by_one.items() if names is None],
    )


def _ask(
    wanted: Sequence[str], python: str, architecture: str, index: str | None
) -> list[str] | None:
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    argv += ["--no-deps", "--only-binary", ":all:"]
    argv += ["--python-version", python, "--implementation", "cp"]
    argv += [word for platform in platforms(architecture) for word in ("--platform", platform)]
    if index:
        argv += ["--extra-index-url", index]
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        argv += ["--target", name, "--report", str(report), *wanted]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        found = json.loads(report.read_text())["install"]
    return sorted(one["download_info"]["url"].rpartition("/")[2] for one in found)


def main() -> int:
    """Print the wheels; 1 if one is missing."""
    parser = argparse.ArgumentParser(description="wheels for a Raspberry Pi (armv7)")
    parser.add_argument("--index", help="one more package index to ask")
    given = parser.parse_args()
    missing = 0
    for architecture in ARCHITECTURES:
        for python in PYTHONS:
            found, without = wheels(python, architecture, given.index)
            missing += len(without)
            built = [name for name in found if not name.endswith("-any.whl")]
            pure = len(found) - len(built)
            print(f"{architecture}, python {python}: {len(found)} wheels, {pure} of them pure")
            for name in built:
                print(f"  {name}")
            for one in without:
                print(f"error: no wheel of {one} for {architecture}", file=sys.stderr)
    if missing:
        print("hint: docs/operating.md, Raspberry Pi, says where they come from", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
