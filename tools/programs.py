"""The programs that tests and demo run: from the machine if they will do, else from its archive.

Each program is started through `.parts/bin/NAME`, a script that ends in `exec`: the process number
is the program's own, so that a signal sent to it hits the program and not a shell. The scripts find
the unpacked folders relative to themselves, so that a checkout can be moved.

For MicroPython the machine's own release is asked first, then the Debian release named below.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from tools.debian import Archive, ArchiveError, Suite, loader_argv
from tools.environment import call
from tools.parts import PARTS

MICROPYTHON_MINIMUM = (1, 22)
DEBIAN_WITH_MICROPYTHON = "trixie"  # has 1.25, for 64 and for 32 bits
UMQTT = "micropython-umqtt.simple==1.1"
UMQTT_SHA256 = "c08ab51934684b0ca798f0fffeff130190f4c969e326d2bde903a7444e375d90"
UMQTT_MEMBER = "micropython-umqtt.simple-1.1/umqtt/simple.py"

BIN = PARTS / "bin"
APT = PARTS / "apt"
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # where Debian puts mosquitto; not on a user's PATH
START_TIMEOUT_S = 60


def forget_lists() -> None:
    """Drop the private apt state: 60 MB that only a running set-up needs."""
    shutil.rmtree(APT, ignore_errors=True)


def wrapper_works(name: str) -> bool:
    """Whether the script is there and so is the program that it names in its second line."""
    try:
        lines = (BIN / name).read_text().splitlines()
    except OSError:
        return False
    program = lines[1].removeprefix("# starts ") if len(lines) > 1 else ""
    return program != "" and (PARTS / program).exists()


def write_wrapper(name: str, program: Path, argv: list[str]) -> None:
    """Write `.parts/bin/NAME`, which execs `argv`; paths below `.parts` become relative to it."""
    words = []
    for word in argv:
        inner = word.replace(f"{PARTS}/", "$parts/")
        words.append(f'"{inner}"' if inner != word or not re.fullmatch(r"[\w./-]+", word) else word)
    shown = program.relative_to(PARTS) if program.is_relative_to(PARTS) else program
    BIN.mkdir(exist_ok=True)
    building = BIN / f"{name}.part"
    building.write_text(
        f'#!/bin/sh\n# starts {shown}\nparts=${{0%/*}}/..\nexec {" ".join(words)} "$@"\n'
    )
    building.chmod(0o755)
    building.rename(BIN / name)


def output(argv: list[str]) -> str:
    """What a program prints; "" if it cannot be started at all."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=START_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def own_suite(package: str) -> Suite:
    """The machine's own release for its own architecture; ArchiveError if it lacks the package."""
    archive = Archive.of_machine()
    suite = archive.suite(archive.own_suite, archive.machine, state=APT)
    if not suite.version(package):
        message = f"the archive's {archive.own_suite} has no package {package!r}"
        raise ArchiveError(message)
    return suite


def make_mosquitto() -> str:
    """`.parts/bin/mosquitto`: the machine's own broker, or its package, unpacked."""
    return make_program("mosquitto", "mosquitto", "usr/sbin/mosquitto", "-h")


def make_promtool() -> str:
    """`.parts/bin/promtool`, which checks rules and metrics: the machine's own, or unpacked."""
    return make_program("promtool", "prometheus", "usr/bin/promtool", "--version")


def make_program(name: str, package: str, inside: str, question: str) -> str:
    """`.parts/bin/NAME`: the machine's own, or the one `inside` the package; its version, which it
    answers to the `question`.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")
    if found:
        program, argv = Path(found), [found]
    else:
        root = PARTS / package
        own_suite(package).unpack([package], root)
        program, argv = root / inside, loader_argv(root, inside)
    version = re.search(r"version ([\d.]+)", output([*argv, question]))
    if version is None:
        message = f"'{program}' does not start"
        raise ArchiveError(message)
    write_wrapper(name, program, argv)
    return version[1]


def micropython_version(argv: list[str]) -> tuple[int, ...]:
    """(1, 25, 0), or () if the program does not start."""
    asked = output([*argv, "-c", "import sys; print('is', *sys.implementation.version[:3])"])
    found = re.search(r"is (\d+) (\d+) (\d+)", asked)
    return tuple(int(part) for part in found.groups()) if found else ()


def micropython_suite(architecture: str) -> Suite:
    """The first release of the archive whose MicroPython is new enough."""
    archive = Archive.of_machine()
    tried = []
    for name in dict.fromkeys((archive.own_suite, DEBIAN_WITH_MICROPYTHON)):
        try:
            suite = archive.suite(name, architecture, state=APT)
        except ArchiveError as error:
            tried.append(f"{name}: {error}")
            continue
        version = suite.version("micropython")
        if version >= MICROPYTHON_MINIMUM:
            return suite
        tried.append(f"{name}: {'.'.join(map(str, version)) or 'no package'}")
    message = (
        f"no micropython of 1.22 or newer for {architecture} in the archive ({'; '.join(tried)})"
    )
    raise ArchiveError(message)


def make_micropython() -> str:
    """`.parts/bin/micropython`: the unix port for the machine's own architecture."""
    found = shutil.which("micropython")
    if found and micropython_version([found]) >= MICROPYTHON_MINIMUM:
        program, argv = Path(found), [found]
    else:
        root = PARTS / "micropython"
        archive = Archive.of_machine()
        micropython_suite(archive.machine).unpack(["micropython"], root)
        program, argv = root / "usr/bin/micropython", loader_argv(root, "usr/bin/micropython")
    return finish_micropython("micropython", program, argv)


def make_micropython32() -> str:
    """`.parts/bin/micropython32`: the unix port for 32-bit ARM, run by an emulator."""
    emulator = find_emulator()
    root = PARTS / "micropython32"
    micropython_suite("armhf").unpack(["micropython"], root)
    program = root / "usr/bin/micropython"
    return finish_micropython("micropython32", program, [emulator, "-L", str(root), str(program)])


def finish_micropython(name: str, program: Path, argv: list[str]) -> str:
    """Write the wrapper if the program starts and is new enough."""
    version = micropython_version(argv)
    if version < MICROPYTHON_MINIMUM:
        message = f"'{program}' does not start, or is older than 1.22"
        raise ArchiveError(message)
    write_wrapper(name, program, argv)
    return ".".join(map(str, version))


def find_emulator() -> str:
    """qemu's emulator of 32-bit ARM for single programs, statically linked."""
    for name in ("qemu-arm-static", "qemu-arm"):
        found = shutil.which(name)
        if found:
            return found
    kept = PARTS / "qemu-arm"
    unpacked = PARTS / "qemu"
    if kept.exists():
        shutil.rmtree(unpacked, ignore_errors=True)  # left by a set-up that was stopped just here
        return str(kept)
    # The package emulates thirty processors in 250 MB; one of them is kept. Newer releases have
    # the static programs in `qemu-user`, under plain names, and the other package is empty.
    for package in ("qemu-user-static", "qemu-user"):
        try:
            own_suite(package).unpack([package], unpacked, alone=True)
        except ArchiveError:
            continue
        for name in ("qemu-arm-static", "qemu-arm"):
            program = unpacked / "usr/bin" / name
            if program.is_file() and not program.is_symlink():
                program.rename(kept)
                shutil.rmtree(unpacked)
                return str(kept)
    shutil.rmtree(unpacked, ignore_errors=True)
    raise ArchiveError("no emulator of 32-bit ARM: neither 'qemu-user-static' nor 'qemu-user'")


def pip_wheel() -> Path:
    """A pip to begin with, for a Python that was packaged without one."""
    unpacked = PARTS / "pip"
    own_suite("python3-pip-whl").unpack(["python3-pip-whl"], unpacked, alone=True)
    wheels = sorted(unpacked.glob("usr/share/python-wheels/pip-*.whl"))
    if not wheels:
        raise ArchiveError("no pip in the package 'python3-pip-whl'")
    return wheels[-1]


def make_umqtt(python: Path) -> str:
    """`.parts/micropython-lib/umqtt/simple.py`, from the Python package index, checked."""
    building = PARTS / "micropython-lib.part"
    shutil.rmtree(building, ignore_errors=True)
    (building / "umqtt").mkdir(parents=True)
    asked = building / "asked.txt"
    # pip checks the digest before it looks into the archive
    asked.write_text(f"{UMQTT} --hash=sha256:{UMQTT_SHA256}\n")
    download = ["-m", "pip", "download", "-q", "--no-deps", "-r", str(asked), "-d", str(building)]
    call([str(python), *download])
    fetched = next(building.glob("micropython*.tar.gz"))
    if hashlib.sha256(fetched.read_bytes()).hexdigest() != UMQTT_SHA256:
        message = f"'{fetched.name}' is not the file that this set-up knows"
        raise ArchiveError(message)
    with tarfile.open(fetched) as packed:
        module = packed.extractfile(UMQTT_MEMBER)
        if module is None:
            message = f"no {UMQTT_MEMBER!r} in '{fetched.name}'"
            raise ArchiveError(message)
        (building / "umqtt" / "simple.py").write_bytes(module.read())
    fetched.unlink()
    asked.unlink()
    target = PARTS / "micropython-lib"
    shutil.rmtree(target, ignore_errors=True)
    building.rename(target)
    return UMQTT.partition("==")[2]
