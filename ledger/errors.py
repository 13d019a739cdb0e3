"""Errors of the ledger node.

LedgerError          the node cannot do what was asked; `hint` says what to do
└── ForkError        going on could sign a second milestone with one index: the node stops

RejectedError        a block is not for this ledger, or not now: a `TallystickError`, whose code goes into the
                     receipt. What is wrong with a block's form is an error of the library.
"""

from __future__ import annotations

from tallystick.errors import TallystickError

__all__ = ["ForkError", "LedgerError", "RejectedError"]


class LedgerError(Exception):
    """The node cannot start or go on. `detail` and `hint` are for people and hold no secret."""

    def __init__(self, detail: str, *, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


class ForkError(LedgerError):
    """Another history of this ledger exists; signing on would fork it."""


class RejectedError(TallystickError):
    """The block is not for this ledger, or not now."""
