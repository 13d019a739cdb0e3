"""The libraries of the EVM world, loaded so that they leave the interpreter as it was.

One of them (py_ecc) raises the recursion limit to 100,000 when it is imported. At that limit a node's answer of
deeply nested JSON ends the process with a fault of the machine; at Python's own it is an error like any other.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec

from tallystick_ledger.errors import LedgerError

__all__ = ["load", "need"]


def need() -> None:
    """`LedgerError` if they are not installed; nothing is loaded."""
    if find_spec("web3") is None:
        raise LedgerError(
            "the bridge needs web3, which is not installed",
            hint="pip install 'tallystick[ledger,evm]'",
        )


def load() -> None:
    """Import them; `LedgerError` if they are not installed."""
    need()
    limit = sys.getrecursionlimit()
    for name in ("eth_keys", "eth_account", "web3"):
        importlib.import_module(name)
    sys.setrecursionlimit(limit)
