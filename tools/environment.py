"""Virtual environments with exact versions, also where Python came without ensurepip.

Rules
* An environment is complete when its mark says so; the mark is a digest of all it was made from. It
  cannot be built beside its place and renamed: its commands hold their own path.
* The mark goes before anything is changed. An environment that was never completed is made anew;
  one that is out of date is brought up to date in place, for somebody may be using it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

MARK = "complete"
PIP_TIMEOUT_S = 1800


class EnvironmentFailedError(Exception):
    """The virtual environment could not be made; the text says why."""


def python_of(folder: Path) -> Path:
    """The interpreter of the environment in `folder`."""
    return folder / "bin" / "python"


def fingerprint(folder: Path, inputs: list[Path]) -> str:
    """What an environment depends on: its place, and the files that say what belongs into it."""
    digest = hashlib.sha256(f"{folder}\n".encode())
    for path in inputs:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_complete(folder: Path, inputs: list[Path]) -> bool:
    """Whether the environment was made to its end from exactly these inputs."""
    mark = folder / MARK
    if not (mark.is_file() and python_of(folder).exists()):
        return False
    return mark.read_text() == fingerprint(folder, inputs)


def make(
    folder: Path,
    *,
    requirements: list[str],
    constraints: Path,
    inputs: list[Path],
    pip_wheel: Callable[[], Path],
) -> str:
    """Make or update the environment in `folder` with what pip installs for `requirements`.

    Returns the version of its Python.
    `pip_wheel` fetches a pip for a Python that was packaged without one; it is called only then.
    """
    mark = folder / MARK
    python = python_of(folder)
    usable = mark.is_file() and python.exists()
    mark.unlink(missing_ok=True)
    if not usable:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if has_ensurepip():
            call([sys.executable, "-m", "venv", str(folder)])
        else:
            call([sys.executable, "-m", "venv", "--without-pip", str(folder)])
            wheel = pip_wheel()
            call([str(python), f"{wheel}/pip", "install", "-q", "--no-index", str(wheel)])
    call(
        [str(python), "-m", "pip", "install", "-q", "-c", str(constraints), *requirements],
        constraints=constraints,
    )
    version = call([str(python), "-c", "import platform; print(platform.python_version())"])
    mark.write_text(fingerprint(folder, inputs))
    return version.strip()


def has_ensurepip() -> bool:
    """Debian and Ubuntu pack ensurepip apart from Python, and `python -m venv` then fails late."""
    probe = [sys.executable, "-m", "ensurepip", "--version"]
    done = subprocess.run(probe, capture_output=True, check=False)
    return done.returncode == 0


def call(argv: list[str], *, constraints: Path | None = None) -> str:
    """Run a step and return what it printed; raises EnvironmentFailedError with the end of it."""
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    # an outer environment or a user's site folder must not lend its packages to ours
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_USER", "PIP_REQUIRE_VIRTUALENV"):
        env.pop(name, None)
    if constraints is not None:
        env["PIP_CONSTRAINT"] = str(constraints)  # reaches the build of the project, too
    try:
        done = subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PIP_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{' '.join(argv[:4])} did not end within {PIP_TIMEOUT_S} s"
        raise EnvironmentFailedError(message) from error
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if not line.startswith("WARNING")]
        message = f"{' '.join(argv[:4])} ended with status {done.returncode}:\n" + "\n".join(
            lines[-12:]
        )
        raise EnvironmentFailedError(message)
    return done.stdout
