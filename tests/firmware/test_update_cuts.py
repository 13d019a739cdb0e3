"""The power goes at every single write of an update and of its trial."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.firmware.bench import FIRMWARE, board_command
from tests.parts import micropython64, micropython_lib


def test_power_cuts_at_every_write_of_an_update(tmp_path: Path) -> None:
    """A board whose power goes in the middle of a write would run half of an agent, or wait for one for ever."""
    paths = [FIRMWARE, FIRMWARE / "virtual" / "modules", Path(__file__).with_name("on_board")]
    folder = tmp_path / "flash"
    folder.mkdir()
    program = [*micropython64(), "-X", "heapsize=4m"]
    done = subprocess.run(
        board_command(program, "update_cuts.py", paths=[*paths, micropython_lib()]),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    lines = done.stdout.splitlines()
    said = [line for line in lines if line.split(" ")[0] in ("old", "new", "stuck", "#", "whole")]
    assert ["whole", "whole"] == said
    operations = [int(line.split(" ")[1]) for line in lines if line.startswith("operations")]
    assert min(operations) >= 100
    assert "end" == lines[-1]


def test_power_cuts_at_every_write_of_a_trial(tmp_path: Path) -> None:
    """A board whose power goes while it decides would run an agent that nobody has proven, or tell a story that is not
    true, or try a dead agent again at each start.
    """
    paths = [FIRMWARE, FIRMWARE / "virtual" / "modules", micropython_lib()]
    folder = tmp_path / "flash"
    folder.mkdir()
    done = subprocess.run(
        board_command(micropython64(), "trial_cuts.py", paths=paths),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    # a good one proves itself in the first start, in the second after a cut; a bad one has three, and is told of
    assert ["lives 2", "lives 5", "end"] == done.stdout.splitlines()
