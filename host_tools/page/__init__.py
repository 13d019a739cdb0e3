"""The page that checks a proof in a browser: its modules, and how they become one file.

Each noun of the specification is a module of JavaScript here, as each is one of Python in `tallystick`. They run as
they are under Node; `assembled` puts them into the one file that people open, `docs/verify.html`.
"""

from __future__ import annotations

from tallystick_host.page.assembly import assembled, look

__all__ = ["assembled", "look"]
