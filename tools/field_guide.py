"""Write the field guide's tables of verdicts and codes from what `tally verify --explain` says.

python -m tools.field_guide           writes docs/field-guide.md
python -m tools.field_guide --check   exit status 1 if it is not up to date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from tallystick_host.explanations import CHECKS, ERRORS, VERDICTS
from tools.parts import ROOT

PAGE: Final = ROOT / "docs" / "field-guide.md"
START: Final = "<!-- made by: python -m tools.field_guide -->"
END: Final = "<!-- end of what is made -->"


def tables() -> Iterator[str]:
    """The lines between the two marks."""
    yield "| verdict | means | what to do |"
    yield "|---|---|---|"
    for verdict, (means, do) in VERDICTS.items():
        yield f"| **{verdict}** | {means} | {do} |"
    yield ""
    yield "| check | result | means | what to do |"
    yield "|---|---|---|---|"
    for code, (asks, results) in CHECKS.items():
        yield f"| `{code}` | | *{asks}* | |"
        for result, (means, do) in results.items():
            yield f"| | {result} | {means} | {do} |"
    yield ""
    yield "Codes in front of the detail of `proof.format`, and of errors, begin with what is malformed:"
    yield ""
    yield "| code | means | docs/format.md |"
    yield "|---|---|---|"
    for noun, (means, section) in ERRORS.items():
        yield f"| `{noun}.*` | {means} | {section} |"


def page(text: str) -> str:
    """The page with fresh tables."""
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2]
    return "\n".join([f"{before}{START}", *tables(), f"{END}{after}"])


def main(arguments: list[str]) -> int:
    """0, or 1 if `--check` finds the page not up to date."""
    text = PAGE.read_text()
    if START not in text:
        print(f"error: {PAGE.name} has no place for the tables", file=sys.stderr)
        return 1
    fresh = page(text)
    if arguments == ["--check"]:
        return 0 if fresh == text else 1
    PAGE.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
