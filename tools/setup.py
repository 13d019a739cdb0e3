"""Prepare a checkout: the virtual environment, and the programs that tests and demo run.

    python3 -m tools.setup [--quiet] [--demo]

Rules
* Standard library only: this runs before anything is installed.
* Nothing outside the checkout is changed and root is not needed; all is in `.venv` and `.parts`.
* A stage whose result is there and up to date costs no more than a look.
* A stage can be stopped at any moment: a folder gets its final name, an environment its mark of
  completeness, as the last step; the next run begins that stage again.
* One set-up at a time in a checkout; a second one waits.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tools import chromium, environment, npm, programs
from tools.debian import ArchiveError
from tools.environment import EnvironmentFailedError
from tools.parts import PARTS, ROOT

PYTHON_MINIMUM = (3, 11)
CONSTRAINTS = ROOT / "tools" / "constraints.txt"
CWT_CONSTRAINTS = ROOT / "tools" / "constraints-cwt.txt"
WITNESS_CONSTRAINTS = ROOT / "tools" / "constraints-witness.txt"
ABSENT = PARTS / "absent"  # titles of the stages that this machine cannot have
ENVIRONMENT_INPUTS = [ROOT / "pyproject.toml", ROOT / "tools" / "links.py", CONSTRAINTS]


@dataclass(frozen=True)
class Stage:
    """One result of the set-up: how to see that it is there, and how to make it."""

    title: str
    present: Callable[[], bool]
    make: Callable[[], str]  # returns a few words on what was made
    required: bool = True  # False: set-up succeeds without; what needs the part then fails
    demo: bool = True  # False: only tests need it


def project_present() -> bool:
    """The project's own environment, with the links that its editable install needs."""
    links = PARTS / "packages" / "tallystick"
    return links.is_symlink() and environment.is_complete(ROOT / ".venv", ENVIRONMENT_INPUTS)


def make_project() -> str:
    """Install the project, editable, with everything that tests and checks use."""
    version = environment.make(
        ROOT / ".venv",
        requirements=["-e", f"{ROOT}[dev]"],
        constraints=CONSTRAINTS,
        inputs=ENVIRONMENT_INPUTS,
        pip_wheel=programs.pip_wheel,
    )
    return f"python {version}"


def cwt_present() -> bool:
    """The environment of the second COSE implementation."""
    return environment.is_complete(PARTS / "cwt-venv", [CWT_CONSTRAINTS])


def make_cwt() -> str:
    """`cwt` needs a cbor2 older than ours, so it lives apart and is run as a process."""
    version = environment.make(
        PARTS / "cwt-venv",
        requirements=["cwt"],
        constraints=CWT_CONSTRAINTS,
        inputs=[CWT_CONSTRAINTS],
        pip_wheel=programs.pip_wheel,
    )
    return f"python {version}"


def witness_present() -> bool:
    """The environment of a C2SP witness that others wrote."""
    return environment.is_complete(PARTS / "witness-venv", [WITNESS_CONSTRAINTS])


def make_witness() -> str:
    """It is run as a process. It asks for Python 3.12 and uses nothing of it: 3.11 is let in."""
    version = environment.make(
        PARTS / "witness-venv",
        requirements=["--ignore-requires-python", "aics-witness"],
        constraints=WITNESS_CONSTRAINTS,
        inputs=[WITNESS_CONSTRAINTS],
        pip_wheel=programs.pip_wheel,
    )
    return f"python {version}"


def umqtt_present() -> bool:
    """The MQTT client that boards install."""
    return (PARTS / "micropython-lib" / "umqtt" / "simple.py").is_file()


def make_umqtt() -> str:
    """Download it with the pip of the project's environment."""
    return programs.make_umqtt(environment.python_of(ROOT / ".venv"))


def wrapper_present(name: str) -> Callable[[], bool]:
    """Whether `.parts/bin/NAME` and the program that it starts are there."""
    return lambda: programs.wrapper_works(name)


STAGES = (
    Stage("mosquitto", wrapper_present("mosquitto"), programs.make_mosquitto),
    Stage("promtool", wrapper_present("promtool"), programs.make_promtool, demo=False),
    Stage("micropython, 64 bits", wrapper_present("micropython"), programs.make_micropython),
    Stage(
        "micropython, 32 bits",
        wrapper_present("micropython32"),
        programs.make_micropython32,
        required=False,
    ),
    Stage("project in .venv", project_present, make_project),
    Stage("umqtt.simple", umqtt_present, make_umqtt),
    Stage("chromium", chromium.chromium_present, chromium.make_chromium, demo=False),
    Stage("cwt in .parts/cwt-venv", cwt_present, make_cwt, demo=False),
    Stage(  # packed for x86-64 only
        "Conflux node, from npm", npm.conflux_present, npm.make_conflux, required=False, demo=False
    ),
    Stage("witness in .parts/witness-venv", witness_present, make_witness, demo=False),
)


def say(text: str) -> None:
    """Progress is talk: standard error."""
    print(text, file=sys.stderr, flush=True)


def run_stages(stages: tuple[Stage, ...], *, quiet: bool) -> int:
    """Do what is missing, in order; the exit status is 0 if every required part is there."""
    missing: list[str] = []
    worked = False
    if not quiet:
        ABSENT.unlink(missing_ok=True)  # whoever asks for the set-up wants it tried again
    absent = ABSENT.read_text().splitlines() if ABSENT.exists() else []
    for number, stage in enumerate(stages, start=1):
        head = f"setup {number}/{len(stages)} {stage.title}"
        if stage.present():
            if not quiet:
                say(f"{head}: present")
            continue
        if stage.title in absent:
            say(f"{head}: not to be had here; tests that need it fail (make setup tries again)")
            continue
        if not worked:
            programs.forget_lists()  # lists of an earlier run may name packages that are gone
            worked = True
        say(f"{head}: ...")
        begin = time.monotonic()
        try:
            made = stage.make()
        except (ArchiveError, EnvironmentFailedError, OSError) as error:
            say(f"{head}: failed: {error}")
            if stage.required:
                missing.append(stage.title)
            else:
                absent.append(stage.title)
                ABSENT.write_text("".join(f"{title}\n" for title in absent))
            continue
        say(f"{head}: {made}, {time.monotonic() - begin:.0f} s")
    if worked:
        programs.forget_lists()
    if missing:
        say(f"setup: missing: {'; '.join(missing)}")
        say("hint: run make setup again, or install the missing program with the system's packages")
        return 1
    if not quiet:
        say("setup: done")
    return 0


def main() -> int:
    """Parse the arguments, take the checkout's lock, run the stages."""
    parser = argparse.ArgumentParser(
        prog="python3 -m tools.setup", description="prepare a checkout"
    )
    parser.add_argument("--quiet", action="store_true", help="speak only when there is work to do")
    parser.add_argument("--demo", action="store_true", help="only what the demo needs")
    arguments = parser.parse_args()
    if sys.version_info < PYTHON_MINIMUM:
        say(f"setup: python {sys.version.split()[0]} is too old, 3.11 or newer is needed")
        return 1
    os.umask(0o022)  # other users may run what is prepared here
    PARTS.mkdir(exist_ok=True)
    with (PARTS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("setup: another set-up is at work here, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        stages = tuple(stage for stage in STAGES if stage.demo or not arguments.demo)
        return run_stages(stages, quiet=arguments.quiet)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("setup: stopped; run make setup again to go on")
        sys.exit(130)
