"""Errors that end a command, and the exit status each ends it with.

::

    HostError
    ├── UseError        2   the command, a name or a file that it was given is wrong
    ├── RefusedError    1   a check ran and failed
    └── UndoneError     5   it could not be done: no answer, no file, no room

The numbers are those of the verdicts (2 apart), so that a script reads one table. A message is lower case, quotes
the input, has no full stop and never a secret; `hint` says what to do; `code` is stable where a program may want to
tell errors apart.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["HostError", "RefusedError", "UndoneError", "UseError"]


class HostError(Exception):
    """Base of all errors of the command."""

    exit_status: ClassVar[int] = 5

    def __init__(self, detail: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(f"{code}: {detail}" if code else detail)
        self.detail = detail
        self.code = code
        self.hint = hint


class UseError(HostError):
    """Wrong use."""

    exit_status = 2


class RefusedError(HostError):
    """A check ran and failed."""

    exit_status = 1


class UndoneError(HostError):
    """It could not be done or checked."""

    exit_status = 5
