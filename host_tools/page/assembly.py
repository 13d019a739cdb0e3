"""Many small modules into one page without a dependency.

1. The modules follow each other so that each stands behind what it imports; a circle is an error.
2. Imports and the word `export` are taken out: all names then live in one scope, and two modules with one name are
   an error.
3. A JSON file that is imported becomes a constant.
4. Script and style are named in the page's Content-Security-Policy by their hashes: no other may run.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

__all__ = ["AssemblyError", "assembled", "look", "source_hash"]

FOLDER: Final = Path(__file__).resolve().parent
_IMPORT: Final = re.compile(
    r'^import (?:\{[^}]*\}|(?P<name>\w+)) from "\./(?P<file>[a-z0-9]+\.(?:js|json))"[^;]*;\n', re.M
)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) )", re.M)
_NAME: Final = re.compile(r"^(?:async )?(?:function\*?|class|const|let) (\w+)", re.M)


class AssemblyError(ValueError):
    """The modules do not fit into one page."""


def assembled(folder: Path = FOLDER) -> str:
    """The whole page."""
    script = _script(folder)
    style = look(folder) + (folder / "page.css").read_text()
    page = (folder / "page.html").read_text()
    for name, value in {
        "script-hash": source_hash(script),
        "style-hash": source_hash(style),
        "style": style,
        "script": script,
    }.items():
        page = page.replace("{{" + name + "}}", value)
    return page


def look(folder: Path = FOLDER) -> str:
    """The style that the page and the reports share."""
    return (folder / "look.css").read_text()


def source_hash(text: str) -> str:
    """How a Content-Security-Policy names an inline script or style."""
    return "sha256-" + base64.b64encode(sha256(text.encode()).digest()).decode()


def _script(folder: Path) -> str:
    pieces: list[str] = []
    owners: dict[str, str] = {}
    for name, text in _ordered(folder, "main.js", (), {}):
        for found in _NAME.findall(text):
            if owners.setdefault(found, name) != name:
                raise AssemblyError(f"{found} is a name in {owners[found]} and in {name}")
        if "</" in text or "<!--" in text:
            raise AssemblyError(f"{name} holds what could end the script")
        pieces.append(f"// ---- {name}\n{text.strip()}\n")
    return '"use strict";\n' + "\n".join(pieces)


def _ordered(
    folder: Path, name: str, above: tuple[str, ...], seen: dict[str, None]
) -> Iterator[tuple[str, str]]:
    """Each module once, behind those that it imports."""
    if name in above:
        raise AssemblyError(f"{name} imports itself by way of {', '.join(above)}")
    if name in seen:
        return
    seen[name] = None
    text = (folder / name).read_text()
    for found in _IMPORT.finditer(text):
        file = found["file"]
        if file.endswith(".json"):
            if file not in seen:
                seen[file] = None
                value = json.loads((folder / file).read_text())
                yield file, f"const {found['name']} = {json.dumps(value, indent=1)};"
        else:
            yield from _ordered(folder, file, (*above, name), seen)
    text = _EXPORT.sub("", _IMPORT.sub("", text))
    if re.search(r"^(import|export)\b", text, re.M):
        raise AssemblyError(f"{name} imports or exports in a way that cannot be taken apart")
    yield name, text
