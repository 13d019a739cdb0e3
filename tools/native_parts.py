"""What the native signer is built with: LLVM, MicroPython's headers and linker, Monocypher.

All of it is fetched, none of it is copied into the project: the compilers and MicroPython's source
package come from the Debian release named here, whatever release the machine has; Monocypher from
the Python package that carries it, checked against a digest.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from pathlib import Path

from tools import programs
from tools.debian import Archive, ArchiveError, loader_argv, run
from tools.environment import call, python_of
from tools.parts import PARTS, ROOT

RELEASE = "trixie"  # has LLVM 22, which knows the ESP32's windowed ABI, and MicroPython 1.25
LLVM_PACKAGES = ["clang-22", "llvm-22"]
LLVM_PROGRAMS = ("clang", "llc", "llvm-mc")
# Headers and run-time libraries of the machine that it compiles on: a board has neither.
LLVM_WITHOUT = (
    "libasan",
    "libc-dev",
    "libc6-dev",
    "libcrypt-dev",
    "libdb5",
    "libgc1",
    "libgcc-1",
    "libgnutls",
    "libgomp",
    "libgprofng",
    "libhwasan",
    "libitm",
    "libkrb5",
    "libldap",
    "liblsan",
    "libobjc",
    "libquadmath",
    "libsasl",
    "libstdc++-",
    "libtsan",
    "libubsan",
)
MONOCYPHER = "pymonocypher==4.0.3.4"
MONOCYPHER_SHA256 = "5e56e3d3eb770a53e0b9f6274146663c11a11f3d0de5cd48e3be0428d1b07a4a"

LLVM = PARTS / "llvm"
SOURCE = PARTS / "micropython-source"
MONOCYPHER_FOLDER = PARTS / "monocypher"


def llvm(program: str) -> list[str]:
    """Argument list that starts one of LLVM_PROGRAMS; append its arguments."""
    return loader_argv(LLVM, f"usr/lib/llvm-22/bin/{program}")


def llvm_present() -> bool:
    """The compiler."""
    return all((LLVM / "usr/lib/llvm-22/bin" / name).exists() for name in LLVM_PROGRAMS)


def make_llvm() -> str:
    """`.parts/llvm`: clang, llc and llvm-mc with the libraries that they need."""
    archive = Archive.of_machine()
    suite = archive.suite(RELEASE, archive.machine, state=programs.APT)
    suite.unpack(LLVM_PACKAGES, LLVM, without=LLVM_WITHOUT)
    version = re.search(r"version ([\d.]+)", programs.output([*llvm("clang"), "--version"]))
    if version is None:
        raise ArchiveError("clang does not start")
    return version[1]


def source_present() -> bool:
    """MicroPython's headers and its linker of native modules."""
    return (SOURCE / "tools/mpy_ld.py").is_file()


def make_source() -> str:
    """`.parts/micropython-source`: MicroPython as its Debian source package has it."""
    archive = Archive.of_machine()
    suite = archive.suite(RELEASE, archive.machine, state=programs.APT)
    building = SOURCE.with_name("micropython-source.part")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    packed = suite.source("micropython", building)
    run(["tar", "-xf", packed.name], cwd=building)
    inner = next(path for path in building.iterdir() if path.is_dir())
    shutil.rmtree(SOURCE, ignore_errors=True)
    inner.rename(SOURCE)
    shutil.rmtree(building)
    return inner.name.removeprefix("micropython-")


def monocypher_present() -> bool:
    """Monocypher's one file and its header."""
    return (MONOCYPHER_FOLDER / "monocypher.c").is_file()


def make_monocypher() -> str:
    """`.parts/monocypher`: the C files and the licence out of the Python package's source."""
    building = MONOCYPHER_FOLDER.with_name("monocypher.part")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    asked = building / "asked.txt"
    asked.write_text(f"{MONOCYPHER} --hash=sha256:{MONOCYPHER_SHA256}\n")
    python = str(python_of(ROOT / ".venv"))
    # --no-binary: the built packages do not carry the C files
    options = ["-q", "--no-deps", "--no-binary", ":all:"]
    call([python, "-m", "pip", "download", *options, "-r", str(asked), "-d", str(building)])
    fetched = next(building.glob("*.tar.gz"))
    if hashlib.sha256(fetched.read_bytes()).hexdigest() != MONOCYPHER_SHA256:
        message = f"'{fetched.name}' is not the file that this set-up knows"
        raise ArchiveError(message)
    with tarfile.open(fetched) as tar:
        for member in tar.getmembers():
            name = Path(member.name).name
            content = tar.extractfile(member)
            if content and name in ("monocypher.c", "monocypher.h", "LICENSE.txt"):
                (building / name).write_bytes(content.read())
    fetched.unlink()
    asked.unlink()
    shutil.rmtree(MONOCYPHER_FOLDER, ignore_errors=True)
    building.rename(MONOCYPHER_FOLDER)
    return MONOCYPHER.partition("==")[2]
