"""What the build does to modules: a program that was put together does what its modules did.

If these fail, an agent breaks where no test of its source can see it.
"""

from __future__ import annotations

import ast
import sys
import types
from typing import Any

import pytest

from firmware import build as firmware_build
from firmware.bundle import BundleError, _bound, bundle
from firmware.fold import fold
from firmware.shorten import shorten

PROGRAM = {
    "pack/hal": """
def now():
    return 7
""",
    "pack/record": """
from struct import pack
_SIZE = 3
START = b"start"

def event(number):
    return pack(">B", number) + START

def spare():
    return None
""",
    "pack/chain": """
from pack import hal, record
from pack.record import START as BEGIN

_SIZE = 5
count = 0

class Halted(Exception):
    pass

class Chain:
    limit = _SIZE

    def __init__(self, build=record.event):
        self._build = build
        self.record = [_SIZE, record._SIZE]

    def sign(self, event):
        global count
        count += 1
        if event > self.limit:
            raise Halted(hal.now())
        record = self._build(event)
        return [record, BEGIN, count, [event for event in (1, 2)], lambda count: count + 1]

    def count(self):
        return count
""",
    "pack/rare": """
from pack.other import Halted
from pack import chain, record

def rare(one):
    from pack import lone
    if lone.lone() != b"start":
        return None
    try:
        return one.sign(9)
    except Halted as error:
        return error.args[0], chain.count, record.START
""",
    "pack/lone": """
def lone():
    from pack.record import START
    return START
""",
    "pack/other": """
from pack.chain import Halted
""",
    "pack/life": """
from pack import hal, record

def live():
    if hal.now() == 7:
        from pack.chain import Chain
    else:
        from pack.rare import Chain
    one = Chain()
    from pack import rare
    first = one.sign(4)
    del record.spare
    return first[:4], first[4](1), one.record, one.count(), rare.rare(one)
""",
}
MEMBERS = ("pack/chain", "pack/record")
LIVED = ([b"\x04start", b"start", 1, [1, 2]], 2, [5, 3], 1, (7, 2, b"start"))


def run(trees: dict[str, ast.Module]) -> Any:
    """What `live` gives, with these modules in the place of a package."""
    package = types.ModuleType("pack")
    package.__path__ = []
    sys.modules["pack"] = package
    try:
        waiting = dict(trees)
        while waiting:  # in whatever order works
            before = len(waiting)
            for path in list(waiting):
                module = types.ModuleType(path.replace("/", "."))
                try:
                    exec(compile(waiting[path], path, "exec"), module.__dict__)
                except ImportError:
                    continue
                del waiting[path]
                sys.modules[module.__name__] = module
                setattr(package, path.partition("/")[2], module)
            assert len(waiting) < before, f"{sorted(waiting)} import what is not there"
        return sys.modules["pack.life"].live()
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "pack"]:
            del sys.modules[name]


def parsed(**changes: str) -> dict[str, ast.Module]:
    return {path: ast.parse(text) for path, text in {**PROGRAM, **changes}.items()}


@pytest.mark.parametrize("short", [False, True])
def test_the_whole_does_what_its_modules_did(short: bool) -> None:
    """Names of one kind in two modules, variables with a module's name, a name that is deleted."""
    assert LIVED == run(parsed())
    trees = parsed()
    bundle(trees, "pack/life", MEMBERS)
    if short:
        shorten(trees)
    assert {"pack/hal", "pack/life", "pack/lone", "pack/other", "pack/rare"} == set(trees)
    assert LIVED == run(trees)


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("pack/record", "from hal import pack", "'pack' is"),
        ("pack/record", "from pack.chain import Chain", "imports itself"),
        ("pack/rare", "from pack import record\nprint(record)", "passed on"),
        ("pack/rare", "from pack import record\nprint(record.none)", "no 'none'"),
        ("pack/rare", "from pack import record\nlife = record.START", "by the name 'life'"),
    ],
)
def test_what_cannot_be_put_together(path: str, text: str, said: str) -> None:
    """It would be an agent that fails on a board, in a line that runs once a year."""
    trees = parsed(**{path: text})
    if path == "pack/record" and "hal" in text:
        trees["pack/chain"].body.insert(0, ast.parse("from struct import pack").body[0])
    with pytest.raises(BundleError, match=said):
        bundle(trees, "pack/life", MEMBERS)


def test_every_name_of_the_agent_is_somewhere() -> None:
    """A module that reads a name out of the whole finds it there."""
    sources = {name: path.read_text() for name, path in firmware_build._sources().items()}
    trees = {name: ast.parse(text) for name, text in sources.items() if "umqtt" not in name}
    fold(trees)
    bundle(trees, firmware_build.WHOLE, firmware_build.MEMBERS)
    whole = trees[firmware_build.WHOLE]
    there = {node.id for node in ast.walk(whole) if isinstance(node, ast.Name)}
    there |= {node.name for node in whole.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "life":
                assert node.attr in there, (path, node.attr)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tally"):
                module = (node.module or "").replace(".", "/")
                assert module not in firmware_build.MEMBERS, path
                names = {one.name for one in node.names if f"{module}/{one.name}" not in trees}
                if module in trees:
                    assert names <= _bound(trees[module]), (path, module, names)
