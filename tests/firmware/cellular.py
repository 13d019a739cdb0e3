"""A simulated modem with its SIM card, wired to a virtual board: what tests of cellular boards stand on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests import parts

POWER_KEY = 4
# of a real modem seconds; the ladder is climbed sooner, too
ARGS: dict[str, dict[str, object]] = {
    "SIM7600": {"model": "SIM7600", "power_key": POWER_KEY, "on_ms": 500, "off_ms": 3000},
    "A7670": {"model": "A7670", "power_key": POWER_KEY, "on_ms": 100, "off_ms": 3000},
    "SIM7000": {"model": "SIM7000", "power_key": POWER_KEY, "on_ms": 1000, "off_ms": 1300},
}


def settings(model: str, **more: object) -> dict[str, object]:
    """The board's settings for this modem."""
    args = {**ARGS[model], "start_ms": 500, "apn": "internet", **more}
    return {"net": "modem", "modem_args": args}


class Modem:
    """A simulated modem, wired to the virtual board in `folder` as port 1 and pin 4."""

    def __init__(
        self,
        folder: Path,
        model: str,
        port: int,
        *arguments: str,
        host: str = "127.0.0.1",
        moods: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self._moods = dict(moods or {})
        self._argv = [sys.executable, "-m", "firmware.virtual.modem", model]
        self._argv += ["--port", str(folder / "modem"), "--broker", f"{host}:{port}", *arguments]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        (self.folder / "flash").mkdir(parents=True, exist_ok=True)
        self.be()
        self._process = subprocess.Popen(
            self._argv, cwd=parts.ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert "simulator" in self._process.stdout.readline()
        world = {
            "uart": {"1": os.readlink(self.folder / "modem")},
            "pins": {str(POWER_KEY): str(self.folder / "modem.power")},
        }
        (self.folder / "world.json").write_text(json.dumps(world))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def be(self, **moods: Any) -> None:
        """Change its moods (firmware/virtual/modem); None takes one away."""
        self._moods = {k: v for k, v in {**self._moods, **moods}.items() if v is not None}
        beside = self.folder / "moods.new"
        beside.write_text(json.dumps(self._moods))
        beside.replace(self.folder / "moods.json")


def lay_out(folder: Path, **config: object) -> None:
    """The settings of a board before its first start."""
    (folder / "flash").mkdir(parents=True, exist_ok=True)
    content = {"sensor": "virtual_sensor", **config}
    (folder / "flash" / "config.json").write_text(json.dumps(content))
