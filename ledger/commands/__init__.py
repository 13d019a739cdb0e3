"""The commands of `tally-ledger`, one module each; `command` is what click runs."""

from __future__ import annotations
