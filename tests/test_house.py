"""Who may use whom in the house, and that the walls stand."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import tallystick
from tallystick import limits
from tests.parts import ROOT

ROOMS = ("gateway", "ledger", "host_tools")
NAMES = {
    "tallystick": "tallystick",
    "gateway": "tallystick_gateway",
    "ledger": "tallystick_ledger",
    "host_tools": "tallystick_host",
}
EVERY_ROOM = {*ROOMS, *NAMES.values(), "tallystick"}
# the library takes bytes and gives values: it has no way to a file, a network, a clock or chance
IO_MODULES = {
    *("asyncio", "http", "httpx", "io", "os", "paho", "pathlib", "random", "secrets", "select"),
    *(
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "time",
    ),
    *("urllib", "uuid", "datetime", "logging", "sys"),
}
IO_CALLS = {"open", "input", "print", "exec", "eval", "__import__"}
# the one door: it reads the files that its caller names (docs/adr/0045)
DOOR = {"tallystick/opened.py os", "tallystick/opened.py pathlib", "tallystick/__init__.py os"}


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a file imports, wherever it stands."""
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.lineno, node.module


def violations(root: Path) -> list[str]:
    """Each import that goes through a wall, as `file:line what`."""
    found: list[str] = []

    def check(room: str, refused: set[str]) -> None:
        for file in sorted((root / room).rglob("*.py")):
            found.extend(
                f"{file.relative_to(root)}:{line} {name}"
                for line, name in imports(file)
                if name.split(".")[0] in refused and f"{file.relative_to(root)} {name}" not in DOOR
            )

    check("tallystick", (EVERY_ROOM | IO_MODULES) - {"tallystick"})
    for room in ROOMS:
        check(room, EVERY_ROOM - {room, NAMES[room], "tallystick"})
    check("firmware", EVERY_ROOM)
    for file in sorted((root / "tallystick").rglob("*.py")):
        found.extend(
            f"{file.relative_to(root)}:{node.lineno} {node.func.id}()"
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in IO_CALLS
        )
    return found


def test_the_walls_stand() -> None:
    """A verifier would need a network, or a gateway could not be installed without a ledger."""
    assert [] == violations(ROOT)
    assert (ROOT / "tallystick" / "verify.py").exists()


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("tallystick/verify.py", "import socket"),
        ("tallystick/chain.py", "def now():\n    from time import time\n    return time()"),
        ("tallystick/policy.py", "def read(path):\n    return open(path).read()"),
        ("tallystick/proof.py", "from tallystick_host import cli"),
        ("tallystick/opened.py", "import socket"),
        ("tallystick/reading.py", "import pathlib"),
        ("gateway/service.py", "import tallystick_ledger.dag"),
        ("ledger/node.py", "from tallystick_gateway.log import Log"),
        ("host_tools/cli.py", "def prove():\n    import gateway.log"),
        ("firmware/tally/record.py", "from tallystick import record"),
        ("firmware/main.py", "import tallystick_gateway"),
    ],
)
def test_a_broken_wall_is_found(tmp_path: Path, file: str, line: str) -> None:
    """The test above would pass whatever the house looks like."""
    for room in ("tallystick", *ROOMS, "firmware"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("from __future__ import annotations\n")
    assert [] == violations(tmp_path)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(line)
    assert 1 == len(violations(tmp_path))


def test_what_the_rooms_may_use(tmp_path: Path) -> None:
    """A wall would stand where there is a door."""
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "a.py").write_text(
            f"import socket\nfrom tallystick import record\nfrom {NAMES[room]} import b\n"
        )
    assert [] == violations(tmp_path)


def test_the_public_surface() -> None:
    """A name would vanish from under those who use the library, or one would leak into it."""
    assert [
        "Check",
        "Outcome",
        "Policy",
        "Proof",
        "Status",
        "TallystickError",
        "UnverifiedError",
        "Verdict",
        "open",
        "policy",
        "proof",
        "verify",
    ] == sorted(tallystick.__all__)
    assert all(hasattr(tallystick, name) for name in tallystick.__all__)


@pytest.mark.parametrize(
    "module", [one.name for one in pkgutil.iter_modules([str(ROOT / "tallystick")])]
)
def test_every_module_says_what_it_gives(module: str) -> None:
    """`from tallystick.x import *` would fail, or a docstring would be missing."""
    loaded = importlib.import_module(f"tallystick.{module}")
    assert loaded.__doc__
    assert all(hasattr(loaded, name) for name in getattr(loaded, "__all__", ()))


def test_every_limit_is_used() -> None:
    """A limit would stand in the list and hold nobody back."""
    names = [name for name in vars(limits) if name.isupper()]
    text = "".join(
        file.read_text()
        for room in ("tallystick", *ROOMS)
        for file in (ROOT / room).rglob("*.py")
        if file.name != "limits.py"
    )
    assert [] == [name for name in names if f"limits.{name}" not in text]
    assert len(names) > 30
