"""What the build does to the agent's own names: words that a board has in its ROM, and a program that does what it did.

If these fail, an agent takes more of a small heap, or calls something of MicroPython's by a name that it has not.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import io
import re
import select
import socket
import ssl
import subprocess
from typing import Any

import pytest

from firmware import build
from firmware.bundle import bundle
from firmware.fold import fold
from firmware.rename import BUILT_IN, SHARED, STATIC, bound, rename
from firmware.shorten import shorten
from tests.parts import micropython32, micropython64

LIBRARY = (
    "binascii errno gc hashlib io json math os random select socket ssl struct sys time".split()
)
OBJECTS: tuple[object, ...] = (
    *("", b"", bytearray(), [], {}, (), set(), 0, 0.0, memoryview(b"")),
    *(io.BytesIO, io.FileIO, io.TextIOWrapper, socket.socket, ssl.SSLContext, ssl.SSLSocket),
    *(hashlib.sha256(), BaseException, property, type, (_ for _ in ()), select.poll()),
)
MODULES = {
    "tally/station": """
from tally import once

class NotHeard(Exception):
    pass

class Station:
    def __init__(self, callsign, **facts):
        self.callsign = callsign
        self.said = [facts]

    def transmit(self, sentence, count=1):
        if not sentence:
            raise NotHeard(self.callsign)
        self.said.append(sentence * count)
        return len(self.said)

def recess():
    return 7

def broadcast(station, sentence):
    return station.transmit(sentence=sentence, count=2)
""",
    "tally/bell": """
from tally import once

LISTED = "interval recess"

def ring():
    return [once("station", name) for name in LISTED.split()[1:]]
""",
    "tally/evening": """
from tally import once
from tally.station import NotHeard, Station

def programme(word):
    station = Station("roof", sentence="first")
    total = once("station", "broadcast", station, word)
    try:
        station.transmit("")
    except NotHeard as trouble:
        return total, station.said, trouble.args, once("bell", "ring")
""",
}


def once(modules: dict[str, dict[str, Any]], name: str, function: str, *arguments: Any) -> Any:
    return modules[f"tally/{name}"][function](*arguments)


def lived(trees: dict[str, ast.Module], names: dict[str, str]) -> Any:
    """What the evening's programme gives."""
    modules: dict[str, dict[str, Any]] = {}
    for path, tree in trees.items():
        tree.body = [part for part in tree.body if not isinstance(part, ast.ImportFrom)]
        scope: dict[str, Any] = {"once": lambda *words: once(modules, *words)}
        for other in modules.values():
            scope |= other
        exec(compile(ast.fix_missing_locations(tree), path, "exec"), scope)
        modules[path] = scope
    return modules["tally/evening"][names.get("programme", "programme")]("on ")


def test_a_renamed_program_does_what_it_did() -> None:
    """Over modules: by position, by name, as text of `once`, as a word of a text, in `**facts`, in an exception."""
    trees = {path: ast.parse(text) for path, text in MODULES.items()}
    before = lived({path: ast.parse(text) for path, text in MODULES.items()}, {})
    names = rename(trees, ("tally/",), {"said"})
    assert {"Station", "NotHeard", "broadcast", "transmit", "callsign"} <= set(names)
    assert "sentence" not in names  # a text, as one of the facts
    assert "said" not in names
    assert "recess" not in names  # called by a word of a text
    assert not {"append", "count", "args"} & set(names)
    assert len(set(names.values())) == len(names)
    assert lived(trees, names) == before == (2, [{"sentence": "first"}, "on on "], ("roof",), [7])


@pytest.mark.parametrize("interpreter", [micropython64, micropython32])
def test_the_words_are_in_the_rom(interpreter: Any) -> None:
    """All of them: a word that MicroPython does not know costs what a name does."""
    script = (
        "import micropython\ntry:\n    ({})\nexcept NameError:\n    pass\nmicropython.qstr_info()"
    )
    counts = []
    for words in ("0", ",".join([*STATIC.split(), *BUILT_IN.split()]), "nobody_knows_this"):
        command = [*interpreter(), "-c", script.format(words)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"n_qstr=(\d+)", done.stdout)
        assert found is not None
        counts.append(int(found[1]))
    plain, with_words, with_another = counts
    assert with_words == plain
    assert with_another == plain + 1


def agent() -> dict[str, ast.Module]:
    """The agent's modules as they are when they are renamed."""
    sources = {name: path.read_text() for name, path in build._sources().items()}
    umqtt = sources.pop(build.UMQTT)
    trees = {name: ast.parse(text) for name, text in sources.items()}
    fold(trees)
    bundle(trees, build.WHOLE, build.MEMBERS)
    shorten(trees, lambda name: name.startswith(build.SHORTENED))
    return {build.UMQTT: build._without(umqtt, build.REPLACED), **trees}


def test_what_micropython_has_too_keeps_its_name() -> None:
    """A method called like one of a list or a socket: add it to SHARED."""
    library = set(dir(builtins))
    for name in LIBRARY:
        library |= {name, *dir(importlib.import_module(name))}
    for one in OBJECTS:
        library.update(dir(one))
    own = set().union(*map(bound, agent().values()))
    known = {*SHARED, *STATIC.split(), *BUILT_IN.split()}
    clashes = {name for name in own & library if not name.startswith("__")}
    outside = build._outside({name: path.read_text() for name, path in build._sources().items()})
    assert clashes - known - outside - {"_e", "e"} == set()  # which nothing of MicroPython's has


def test_a_script_finds_the_names_that_are_there_now() -> None:
    """What drives the inside of an agent is renamed with it; what main.py calls has kept its name."""
    renamed = build.script("from tally import life\nlife.live()\nchain.drop_acknowledged()\n")
    assert "life.live()" in renamed
    assert "drop_acknowledged" not in renamed
