"""The compiled agent for one kind of machine, and the digest by which a board with exactly these files names it.

The files come from Tallystick's source (`firmware/build.py`, run as a program), or from a folder that somebody built.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallystick_host import limits
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.words import shown, shown_path

__all__ = ["ARCHITECTURES", "FILES", "FOLDERS", "AgentFiles", "built", "in_folder"]

ARCHITECTURES: Final = (
    *("none", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp"),
    *("xtensa", "xtensawin", "rv32imc"),
)  # mpy-cross's names, in the order in which MicroPython numbers them
FOLDERS: Final = ("lib", "modem", "sensors", "tally")
FILES: Final = ("boot.py", "main.py")
_BUILD: Final = Path("firmware", "build.py")
_VARIABLE: Final = "TALLY_FIRMWARE"
_DIGEST_BYTES: Final = 16
_lock = threading.Lock()
_built: dict[str, AgentFiles] = {}


@dataclass(frozen=True)
class AgentFiles:
    """`facts`: path on the board -> size and SHA-256."""

    folder: Path
    facts: dict[str, tuple[int, str]]

    @property
    def digest(self) -> str:
        """The agent digest (docs/format.md, 4), in hexadecimal."""
        text = "".join(f"{path} {size} {sha}\n" for path, (size, sha) in sorted(self.facts.items()))
        return hashlib.sha256(text.encode()).digest()[:_DIGEST_BYTES].hex()


def in_folder(folder: Path) -> AgentFiles:
    """The agent's files in `folder`; `UseError` if it is none."""
    facts = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        ours = name in FILES or name.startswith(tuple(f"{one}/" for one in FOLDERS))
        if path.is_file() and ours and not path.name.startswith("."):
            data = path.read_bytes()
            facts[name] = (len(data), hashlib.sha256(data).hexdigest())
    if "main.py" not in facts:
        raise UseError(
            f"{shown_path(folder)!r} holds no agent: there is no main.py",
            hint="python firmware/build.py ARCHITECTURE makes one, in build/firmware/ARCHITECTURE",
        )
    return AgentFiles(folder, facts)


def built(architecture: str) -> AgentFiles:
    """The agent, compiled for `architecture` (mpy-cross's name) unless it is already."""
    with _lock:
        if architecture not in _built:
            _built[architecture] = _build(architecture)
        return _built[architecture]


def _build(architecture: str) -> AgentFiles:
    named = os.environ.get(_VARIABLE)
    places = [Path(__file__).resolve().parent.parent / _BUILD, Path.cwd() / _BUILD]
    for place in [Path(named) / "build.py"] if named else places:
        if place.is_file():
            break
    else:
        raise UseError(
            "the agent's source is not here",
            hint=f"name the folder of compiled files with --agent, or firmware/ in {_VARIABLE}",
        )
    try:
        done = subprocess.run(
            [sys.executable, str(place), architecture],
            capture_output=True,
            text=True,
            timeout=limits.PROGRAM_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UndoneError("the agent was not compiled in time") from error
    if done.returncode != 0:
        lines = done.stderr.splitlines()
        reason = next((line[7:] for line in lines if line.startswith("error: ")), done.stderr)
        hint = next((line[6:] for line in lines if line.startswith("hint: ")), "")
        raise UndoneError(f"the agent cannot be compiled: {shown(reason)}", hint=shown(hint))
    folder, _, digest = done.stdout.strip().rpartition("  ")
    found = in_folder(Path(folder))
    if found.digest != digest:
        raise UndoneError(
            "the compiled agent is not what its builder says", hint="repeat the command"
        )
    return found
