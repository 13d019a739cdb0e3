"""Where the URL of the other ledger's node comes from: an argument, the environment, or a file.

Others can read a command's arguments, so a URL that seems to hold a secret is not taken from there.
"""

from __future__ import annotations

from pathlib import Path

from tallystick import limits
from tallystick.endpoint import Endpoint
from tallystick_ledger.errors import LedgerError

__all__ = ["of_argument", "of_file"]


def of_argument(url: str) -> Endpoint:
    """From the command line; `LedgerError` if it belongs into a file."""
    endpoint = Endpoint.parse(url)
    if endpoint.secret:
        raise LedgerError(
            f"the URL of '{endpoint}' seems to hold a login or a token",
            hint="others can read arguments: write it into a file and give --rpc-file FILE",
        )
    return endpoint


def of_file(path: Path) -> Endpoint:
    """From the first line of a file."""
    try:
        with path.open() as file:
            return Endpoint.parse(file.readline(limits.URL_CHARS + 2))
    except (OSError, UnicodeDecodeError):
        # the cause is left out: it may quote the URL
        raise LedgerError(f"cannot read the URL in '{path}'") from None
