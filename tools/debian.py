"""Unpack packages of the machine's own Debian or Ubuntu archive: no root, no change to the system.

Rules
* The archive's address is read from the machine's configuration at run time; it is in no file.
* apt works on a private state with an empty list of installed packages. So what is unpacked brings
  its own C library: it runs whatever release the machine has, and a broken system cannot break it.
* Every package is checked by apt against the archive's signing key, as an installation would be.
* A program's folder is complete or absent: packages are unpacked beside it, then it is renamed.

    archive = Archive.of_machine()
    suite = archive.suite(archive.own_suite, "amd64", state=Path("apt"))
    suite.unpack(["mosquitto"], Path("mosquitto"))
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    "/usr/share/keyrings/raspbian-archive-keyring.gpg",
)
APT_TIMEOUT_S = 600


class ArchiveError(Exception):
    """The archive cannot give what was asked for; the text says what, and how to go on."""


def run(argv: list[str], *, cwd: Path | None = None) -> str:
    """Run a command and return its standard output; its complaints become the error's text."""
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        message = f"no command {argv[0]!r} on this machine"
        raise ArchiveError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"{argv[0]} did not end within {APT_TIMEOUT_S} s"
        raise ArchiveError(message) from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        message = f"{argv[0]} ended with status {done.returncode}: {' / '.join(lines[-3:])}"
        raise ArchiveError(message)
    return done.stdout


@dataclass(frozen=True)
class Archive:
    """The main package archive that this machine is configured to use."""

    uri: str
    own_suite: str
    components: str
    machine: str  # dpkg's name of the machine's architecture: amd64, arm64, armhf
    keyring: str

    @classmethod
    def of_machine(cls) -> Archive:
        """Read the configuration of apt; raises ArchiveError where there is none."""
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise ArchiveError("this machine has no apt-get and dpkg")
        keyring = next((path for path in KEYRINGS if os.path.exists(path)), None)
        if keyring is None:
            raise ArchiveError("no archive keyring below '/usr/share/keyrings'")
        # ReleaseInfo=false: also where `apt-get update` has never run, as in fresh containers
        targets = run(
            [
                "apt-get",
                "indextargets",
                "-o",
                "APT::Get::IndexTargets::ReleaseInfo=false",
                "--format",
                "$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
                "Created-By: Packages",
            ]
        )
        for line in targets.splitlines():
            uri, suite, component = line.split("|")
            if component == "main" and "-" not in suite:
                components = "main universe" if "ubuntu" in keyring else "main"
                machine = run(["dpkg", "--print-architecture"]).strip()
                return cls(uri, suite, components, machine, keyring)
        raise ArchiveError("apt is not configured with the main component of an archive")

    def suite(self, name: str, architecture: str, *, state: Path) -> Suite:
        """Fetch the package lists of a suite into `state` (once) and return the suite."""
        root = state / f"{name}-{architecture}"
        suite = Suite(name, architecture, root)
        if not (root / "fetched").exists():
            shutil.rmtree(root, ignore_errors=True)
            for folder in ("lists/partial", "cache/archives/partial", "etc"):
                (root / folder).mkdir(parents=True)
            (root / "etc/sources.list").write_text(
                f"deb [signed-by={self.keyring}] {self.uri} {name} {self.components}\n"
            )
            suite.apt("apt-get", "update", "-qq", "--error-on=any")
            (root / "fetched").touch()
        return suite


@dataclass(frozen=True)
class Suite:
    """One release of the archive for one architecture, with a private apt state in `root`."""

    name: str
    architecture: str
    root: Path

    def apt(self, command: str, *arguments: str, cwd: Path | None = None) -> str:
        """Run `apt-get` or `apt-cache` on the private state."""
        root = self.root.absolute()
        options = [
            f"Dir::State={root}",
            f"Dir::State::Lists={root}/lists",
            "Dir::State::status=/dev/null",
            f"Dir::Etc::SourceList={root}/etc/sources.list",
            "Dir::Etc::SourceParts=/dev/null",
            "Dir::Etc::Preferences=/dev/null",
            "Dir::Etc::PreferencesParts=/dev/null",
            f"Dir::Cache={root}/cache",
            f"APT::Architecture={self.architecture}",
            f"APT::Architectures={self.architecture}",
            "APT::Sandbox::User=root",
            "Acquire::Languages=none",
            "Acquire::Retries=2",
            "APT::Install-Recommends=false",
        ]
        # the machine's own hooks (they clean its cache, index its packages) stay out of this
        hooks = ["#clear APT::Update::Post-Invoke;", "#clear APT::Update::Post-Invoke-Success;"]
        (root / "etc/hooks.conf").write_text("\n".join(hooks) + "\n")
        argv = [command, "-c", f"{root}/etc/hooks.conf"]
        for option in options:
            argv += ["-o", option]
        return run([*argv, *arguments], cwd=cwd)

    def version(self, package: str) -> tuple[int, ...]:
        """The package's upstream version, as numbers; () where the suite does not have it."""
        for line in self.apt("apt-cache", "policy", package).splitlines():
            word, _, value = line.strip().partition(": ")
            if word == "Candidate" and value != "(none)":
                upstream = value.split(":")[-1].split("-")[0].split("+")[0]
                return tuple(int(part) for part in upstream.split(".") if part.isdigit())
        return ()

    def closure(self, packages: list[str]) -> list[str]:
        """The packages and all libraries that they need; services and scripts are left out."""
        lines = self.apt("apt-get", "install", "--print-uris", "-qq", *packages).splitlines()
        files = [line.split()[1] for line in lines if line.startswith("'")]
        names = [file.split("_")[0] for file in files]
        return [name for name in names if name in packages or name.startswith("lib")]

    def unpack(
        self,
        packages: list[str],
        target: Path,
        *,
        alone: bool = False,
        without: tuple[str, ...] = (),
    ) -> None:
        """Unpack packages into the folder `target`, with their libraries unless `alone`.

        Packages whose names begin with one of `without` are left out.
        """
        building = target.with_name(f"{target.name}.part")
        shutil.rmtree(building, ignore_errors=True)
        debs = building / "debs"
        debs.mkdir(parents=True)
        names = packages if alone else self.closure(packages)
        self.apt(
            "apt-get",
            "download",
            "-qq",
            *(name for name in names if not name.startswith(without)),
            cwd=debs,
        )
        for deb in sorted(debs.glob("*.deb")):
            run(["dpkg", "-x", str(deb), str(building)])
        shutil.rmtree(debs)
        # Before the merge of /lib into /usr a package could still use either.
        for name in ("lib", "lib64"):
            merged = building / "usr" / name
            folder = building / name
            if folder.is_dir() and not folder.is_symlink():
                shutil.copytree(folder, merged, symlinks=True, dirs_exist_ok=True)
                shutil.rmtree(folder)
            if merged.is_dir() and not folder.exists():
                folder.symlink_to(f"usr/{name}")
        shutil.rmtree(target, ignore_errors=True)
        building.rename(target)

    def source(self, package: str, folder: Path) -> Path:
        """Download a package's upstream source into `folder` and return the archive's path."""
        own = self.root / "etc/sources.list"
        binary = own.read_text().splitlines()[0]
        own.write_text(f"{binary}\n{binary.replace('deb ', 'deb-src ', 1)}\n")
        try:
            self.apt("apt-get", "update", "-qq", "--error-on=any")
            self.apt("apt-get", "source", "-qq", "--download-only", package, cwd=folder)
        finally:
            own.write_text(f"{binary}\n")
        archives = sorted(folder.glob("*.orig.tar.*"))
        if not archives:
            message = f"no source of {package!r} in {self.name}"
            raise ArchiveError(message)
        return archives[0]


def loader_argv(root: Path, program: str) -> list[str]:
    """How to run a program of an unpacked folder with the C library of that folder."""
    loaders = sorted(root.glob("usr/lib/*/ld-linux*.so.*")) + sorted(
        root.glob("usr/lib*/ld-linux*.so.*")
    )
    real = [path for path in loaders if not path.is_symlink()] or loaders
    if not real:
        message = f"no program loader below '{root}'"
        raise ArchiveError(message)
    libraries = ":".join(
        str(folder) for folder in sorted(root.glob("usr/lib/*-linux-*")) if folder.is_dir()
    )
    return [str(real[0]), "--library-path", libraries, str(root / program)]
