"""`package.json`, by which `mip` installs the agent as source: whole, and as the real mpremote reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host_tools import bare
from tests.parts import ROOT

PACKAGE = ROOT / "package.json"


def test_the_package_is_the_agent() -> None:
    """Broken: a board installed by mip lacks a module that was added, and does not start."""
    table = json.loads(PACKAGE.read_text())
    assert {"urls", "deps", "version"} == set(table)
    files = dict(table["urls"])
    wanted = {"boot.py", "main.py"}
    for folder in ("modem", "sensors", "tally"):
        wanted |= {f"{folder}/{path.name}" for path in (ROOT / "firmware" / folder).glob("*.py")}
    assert wanted == set(files)
    assert all(f"firmware/{target}" == source for target, source in files.items())
    assert f'version = "{table["version"]}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.usefixtures("micropython64")
def test_mip_installs_it(tmp_path: Path) -> None:
    """Broken: the package is in a form that mip does not take."""
    # umqtt comes from micropython-lib's own index, which a test does not ask
    table = json.loads(PACKAGE.read_text())
    assert [["umqtt.simple", "latest"]] == table["deps"]
    (tmp_path / "firmware").symlink_to(ROOT / "firmware")
    package = tmp_path / "package.json"
    package.write_text(json.dumps({**table, "deps": []}))
    with bare.boards(tmp_path, 1) as (board,):
        argv = [sys.executable, "-m", "mpremote", "connect", str(board.port), "resume"]
        argv += ["mip", "install", "--no-mpy", "--target=.", str(package)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=110, check=False)
        assert 0 == done.returncode, done.stdout + done.stderr
        for target, source in table["urls"]:
            assert (ROOT / source).read_bytes() == (board.folder / "flash" / target).read_bytes()
