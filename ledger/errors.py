"""Errors of the ledger node. What is wrong with a block is an error of the library; these are about the node itself.

LedgerError          the node cannot do what was asked; `hint` says what to do
└── ForkError        going on could sign a second milestone with one index: the node stops
"""

from __future__ import annotations

__all__ = ["ForkError", "LedgerError"]


class LedgerError(Exception):
    """The node cannot start or go on. `detail` and `hint` are for people and hold no secret."""

    def __init__(self, detail: str, *, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


class ForkError(LedgerError):
    """Another history of this ledger exists; signing on would fork it."""
