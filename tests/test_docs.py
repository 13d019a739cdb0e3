"""What the pages say must be what the programs do.

If this fails, somebody who works from docs/format.md or the README is led astray.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from tools.parts import ROOT
from tools.site import BIN

FORMAT = (ROOT / "docs" / "format.md").read_text()
README = (ROOT / "README.md").read_text()
NOUNS = (
    "cbor cose key did signature field record chain message merkle note checkpoint block milestone "
    "confirmed receipt statement credential proof policy topic device anchor ledger gateway log time senml "
    "transaction update"
).split()
CODE = re.compile(rf'"((?:{"|".join(NOUNS)})\.[a-z0-9]+(?:-[a-z0-9]+)*)"')
FILE_NAMES = re.compile(r"\.(?:py|key|toml|json|cbor|db|sqlite|pem|new|log|tally|cwt|lock|html)$")


def codes_in_the_source() -> set[str]:
    """Every dotted code that the library and the services can give."""
    found: set[str] = set()
    for room in ("tallystick", "gateway", "ledger"):
        for path in (ROOT / room).rglob("*.py"):
            found |= set(CODE.findall(path.read_text()))
    return {code for code in found if not FILE_NAMES.search(code)}


def test_every_code_is_documented() -> None:
    """A code that a program shows stands in section 12 or 15 of the specification."""
    words = set(re.findall(r"[a-z0-9]+\.[a-z0-9-]+", FORMAT))
    assert codes_in_the_source() - words == set()
    assert len(codes_in_the_source()) > 100


@pytest.mark.parametrize("command", ["tally", "tally-gateway", "tally-ledger"])
def test_readme_names_commands_that_exist(command: str) -> None:
    """The README's table of commands and the programs agree."""
    shown = subprocess.run(
        [BIN / command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    rows = re.findall(rf"\| `{command} ([^`]+)`", README)
    named = {row.split()[0] for row in rows}
    if command != "tally":
        named = set(re.findall(r"[a-z][a-z-]+", " ".join(rows)))
    listed = {name for name in named if re.search(rf"^\W*{name}\s", shown, re.MULTILINE)}
    assert named == listed
    assert named


def test_pages_speak_of_files_that_exist() -> None:
    """A link from one page to another leads somewhere."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("firmware/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
