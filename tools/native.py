"""Build the native signer for each architecture that boards and simulators have.

    python -m tools.native [--quiet] [ARCHITECTURE...]

Writes `build/native/ARCHITECTURE/_ed25519.mpy`: firmware/native/ed25519.c around Monocypher's
arithmetic, compiled by LLVM and linked by MicroPython's own `mpy_ld`. An architecture is left alone
while its file is newer than all that it is made of.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools import native_parts, programs, riscv
from tools.debian import ArchiveError
from tools.environment import EnvironmentFailedError, python_of
from tools.parts import PARTS, ROOT
from tools.xtensa_object import mend

SOURCES = ROOT / "firmware" / "native"
BUILD = ROOT / "build" / "native"
MODULE = "_ed25519"
COMMON = [
    "-std=gnu99",
    "-Os",
    "-DNDEBUG",
    "-DNO_QSTR",
    "-DMICROPY_ENABLE_DYNRUNTIME",
    "-U_FORTIFY_SOURCE",
    "-fno-common",
    "-fno-stack-protector",
    "-fomit-frame-pointer",
    "-ffreestanding",
    "-nostdlibinc",
    "-w",  # of the headers and of Monocypher, which are not ours; ours is checked by a test
]
FLOAT = "-DMICROPY_FLOAT_IMPL=MICROPY_FLOAT_IMPL_"


@dataclass(frozen=True)
class Architecture:
    """How one architecture is compiled for; the name is MicroPython's."""

    name: str
    number: int  # sys.implementation._mpy >> 10
    flags: tuple[str, ...]
    experimental: bool = False  # built and emulated, but no board has run it yet


ARCHITECTURES = {
    one.name: one
    for one in (
        Architecture("x64", 2, ("--target=x86_64-linux-gnu", "-fpic", f"{FLOAT}DOUBLE")),
        Architecture(
            "armv7m",
            5,
            ("--target=thumbv7m-none-eabi", "-mcpu=cortex-m3", "-fpic", f"{FLOAT}FLOAT"),
        ),
        Architecture(
            "rv32imc",
            11,
            (
                "--target=riscv32",
                "-march=rv32imc",
                "-mabi=ilp32",
                "-mno-relax",
                "-fpic",
                "-fno-jump-tables",
                f"{FLOAT}NONE",
            ),
        ),
        Architecture(
            "xtensawin",
            10,
            ("--target=xtensa", "-fno-pic", f"{FLOAT}FLOAT"),
            experimental=True,
        ),
    )
}


class NativeBuildError(Exception):
    """A step of the build failed; the text ends with what it said."""


def run(argv: list[str], folder: Path) -> None:
    """One step of a build."""
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stderr + done.stdout).strip().splitlines()[-12:])
        message = f"'{Path(argv[0]).name}' ended with status {done.returncode}:\n{last}"
        raise NativeBuildError(message)


def static_monocypher(folder: Path) -> None:
    """Write Monocypher with every function static: the compiler drops what is not called."""
    for name in ("monocypher.h", "monocypher.c"):
        text = (native_parts.MONOCYPHER_FOLDER / name).read_text()
        text = re.sub(
            r"(?m)^(?:extern )?((?:const \w+|void|int|size_t) +crypto_)", r"static \1", text
        )
        text = text.replace('#include "monocypher.h"', '#include "monocypher_static.h"')
        (folder / name.replace("monocypher", "monocypher_static")).write_text(text)


def compile_object(architecture: Architecture, folder: Path, *defines: str) -> Path:
    """ed25519.o in `folder`, ready for the linker."""
    source = SOURCES / "ed25519.c"
    includes = [
        f"-I{folder}",
        f"-I{SOURCES}",
        f"-I{native_parts.SOURCE}",
        f"-isystem{SOURCES / 'include'}",
        f"-isystem{native_parts.LLVM / 'usr/lib/llvm-22/lib/clang/22/include'}",
        f'-DMP_CONFIGFILE="{folder / "ed25519.config.h"}"',
    ]
    target = folder / "ed25519.o"
    clang = [*native_parts.llvm("clang"), *architecture.flags, *COMMON, *defines, *includes]
    clang.append(str(source))
    if architecture.name != "xtensawin":
        run([*clang, "-c", "-o", str(target)], folder)
        return target
    # The front end does not know the ESP32's core and the code generator writes no aligned object:
    # so by way of LLVM's own language and of assembly.
    ir, assembly = folder / "ed25519.ll", folder / "ed25519.s"
    core = ["-mcpu=esp32"]
    run([*clang, "-S", "-emit-llvm", "-o", str(ir)], folder)
    run(
        [
            *native_parts.llvm("llc"),
            "-O2",
            "-mtriple=xtensa",
            *core,
            "-relocation-model=static",
            str(ir),
            "-o",
            str(assembly),
        ],
        folder,
    )
    run(
        [
            *native_parts.llvm("llvm-mc"),
            "-triple=xtensa",
            *core,
            "-filetype=obj",
            str(assembly),
            "-o",
            str(target),
        ],
        folder,
    )
    target.write_bytes(mend(target.read_bytes()))
    return target


def build(architecture: Architecture, *, repeat: bool = False) -> Path:
    """The module for one architecture; raises NativeBuildError.

    `repeat`: another file, whose function of that name signs n times, for measurements.
    """
    folder = BUILD / (f"{architecture.name}-repeat" if repeat else architecture.name)
    defines = ["-DTALLYSTICK_REPEAT"] if repeat else []
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / f"{MODULE}.mpy"
    if result.exists() and result.stat().st_mtime > max(map(modified, inputs())):
        return result
    static_monocypher(folder)
    config = folder / "ed25519.config.h"
    linker = [str(python_of(ROOT / ".venv")), str(ROOT / "tools" / "mpy_link.py")]
    linker += [str(native_parts.SOURCE / "tools"), "--arch", architecture.name]
    run([*linker, "--preprocess", "-o", str(config), str(SOURCES / "ed25519.c")], folder)
    compiled = compile_object(architecture, folder, *defines)
    partial = folder / f"{MODULE}.part"
    run([*linker, "--qstrs", str(config), "-o", str(partial), str(compiled)], folder)
    partial.rename(result)
    return result


def inputs() -> list[Path]:
    """All that a module is made of."""
    own = [
        Path(__file__),
        *(ROOT / "tools" / name for name in ("xtensa_object.py", "mpy_link.py")),
        *SOURCES.rglob("*.[ch]"),
    ]
    return [*own, native_parts.MONOCYPHER_FOLDER / "monocypher.c"]


def modified(path: Path) -> float:
    """When a file was last written."""
    return path.stat().st_mtime


def prepare() -> None:
    """Fetch what is missing of compiler, headers and Monocypher."""
    stages = (
        ("compiler", native_parts.llvm_present, native_parts.make_llvm),
        ("headers of micropython", native_parts.source_present, native_parts.make_source),
        ("monocypher", native_parts.monocypher_present, native_parts.make_monocypher),
        ("micropython, risc-v", riscv.firmware_present, riscv.make_firmware),
        ("emulator of risc-v", riscv.emulator_present, riscv.make_emulator),
    )
    if all(present() for _, present, _ in stages):
        return
    PARTS.mkdir(exist_ok=True)
    programs.forget_lists()
    for title, present, make in stages:
        if not present():
            print(f"native: {title} ...", file=sys.stderr, flush=True)
            print(f"native: {title}: {make()}", file=sys.stderr, flush=True)
    programs.forget_lists()


def main() -> int:
    """Build what was asked for, all if nothing was."""
    parser = argparse.ArgumentParser(prog="python -m tools.native", description="build the signer")
    parser.add_argument("architecture", nargs="*", help=f"of {', '.join(ARCHITECTURES)}")
    parser.add_argument("--quiet", action="store_true", help="speak only when there is work to do")
    arguments = parser.parse_args()
    names = arguments.architecture or list(ARCHITECTURES)
    unknown = [name for name in names if name not in ARCHITECTURES]
    if unknown:
        parser.error(f"no architecture {unknown[0]!r}; there are {', '.join(ARCHITECTURES)}")
    try:
        prepare()
        for name in names:
            path = build(ARCHITECTURES[name])
            remark = ", experimental" if ARCHITECTURES[name].experimental else ""
            if not arguments.quiet:
                print(f"{path.relative_to(ROOT)}  {path.stat().st_size} bytes{remark}")
    except (ArchiveError, EnvironmentFailedError, NativeBuildError, OSError) as error:
        print(f"native: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
