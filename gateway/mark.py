"""How far the tiles on disk are known to be whole: `DIR/log/mark`.

::

    16384                    leaves, a multiple of 256
    <64 hex digits>          the root of the tree over them

Every full tile and bundle of these leaves was written and made durable before the mark was. So a start
looks only at what is newer, and costs the same however long the log is. A mark that cannot be read, is
ahead of the log, or has another root than the tiles counts as none: then a start looks at everything.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from tallystick_gateway.folder import write_whole

__all__ = ["Mark", "forget_mark", "read_mark", "write_mark"]

_NAME: Final = "mark"
_FORM: Final = re.compile(rb"([1-9][0-9]{0,18})\n([0-9a-f]{64})\n")
_MOST: Final = 128  # bytes that are read


class Mark(NamedTuple):
    """So many leaves, and the root of their tree."""

    size: int
    root: bytes


def read_mark(folder: Path) -> Mark | None:
    """The mark of the log in `folder`; None if there is none that can be read."""
    try:
        with (folder / _NAME).open("rb") as file:
            found = _FORM.fullmatch(file.read(_MOST))
    except OSError:
        return None
    return None if found is None else Mark(int(found[1]), bytes.fromhex(found[2].decode()))


def write_mark(folder: Path, mark: Mark) -> None:
    """Durable when it returns. What it vouches for is so already."""
    write_whole(folder / _NAME, b"%d\n%s\n" % (mark.size, mark.root.hex().encode()))


def forget_mark(folder: Path) -> None:
    """The next start looks at everything."""
    (folder / _NAME).unlink(missing_ok=True)
