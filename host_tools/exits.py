"""How a command ends when it cannot go on: one line `error: ...`, a hint, and the exit status of everything."""

from __future__ import annotations

import os
import sys
from typing import Final

from tallystick.errors import EvidenceError, PolicyError, TallystickError
from tallystick_host import terminal
from tallystick_host.errors import HostError
from tallystick_host.words import shown_path

__all__ = ["ENDINGS", "EXIT_INTERRUPTED", "EXIT_PIPE", "EXIT_UNDONE", "EXIT_USE", "explain"]

EXIT_USE: Final = 2
EXIT_UNDONE: Final = 5
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE: Final = 141  # as if SIGPIPE had ended us

# what a command may end with; anything else is a fault of ours and shows as one
ENDINGS: Final = (
    HostError,
    TallystickError,
    KeyboardInterrupt,
    terminal.OutputClosedError,
    OSError,
)


def explain(error: BaseException) -> int:
    """Say on stderr why the command ends with `error`, one of `ENDINGS`; the exit status."""
    if isinstance(error, HostError | TallystickError):
        terminal.error(error.detail, error.code)
        if error.hint:
            terminal.hint(error.hint)
        if isinstance(error, HostError):
            return error.exit_status
        if isinstance(error, PolicyError):
            return EXIT_USE
        return 1 if isinstance(error, EvidenceError) else EXIT_UNDONE
    if isinstance(error, KeyboardInterrupt):
        terminal.error("interrupted")
        return EXIT_INTERRUPTED
    if isinstance(error, terminal.OutputClosedError):
        # the interpreter flushes stdout once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    if isinstance(error, OSError):
        where = f": {shown_path(error.filename)!r}" if error.filename else ""
        terminal.error(f"{(error.strerror or str(error)).lower()}{where}")
        return EXIT_UNDONE
    raise error
