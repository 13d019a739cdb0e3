"""Put the modules of `host_tools/page` together into the one page that people open.

python -m tools.page           writes docs/verify.html
python -m tools.page --check   exit status 1 if it is not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path

from tallystick_host import page

FILE = Path(__file__).resolve().parent.parent / "docs" / "verify.html"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it."""
    made = page.assembled()
    if "--check" in arguments:
        if FILE.exists() and FILE.read_text() == made:
            return 0
        sys.stderr.write("error: docs/verify.html is not up to date\nhint: python -m tools.page\n")
        return 1
    FILE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
