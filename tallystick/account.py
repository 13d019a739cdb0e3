"""Who pays for anchors on another ledger, and how firmly that ledger holds a transaction (docs/format.md,
section 8.1): what a policy says of a bridge.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from tallystick import limits
from tallystick.errors import FormatError
from tallystick.value import Value

__all__ = ["NOBODY", "Account", "State", "parse_account"]

_ADDRESS_BYTES: Final = 20
_NAMESPACE: Final = "eip155"


class State(StrEnum):
    """How firmly a ledger holds a transaction, each worth more than the one before."""

    UNKNOWN = "unknown"  # the node does not know it
    ACCEPTED = "accepted"  # it is among those that wait
    FAILED = "failed"  # a block took it, and its execution failed
    EXECUTED = "executed"  # a block took it; its number and hash may still change
    SAFE = "safe"  # no fork is expected to take that block away
    FINAL = "final"  # the ledger itself says: never


class Account(Value):
    """Who pays on which chain: written `eip155:<chain>:0x<40 hex digits>` (CAIP-10)."""

    chain: int
    address: bytes

    def __str__(self) -> str:
        return f"{_NAMESPACE}:{self.chain}:0x{self.address.hex()}"


NOBODY: Final = Account(0, bytes(_ADDRESS_BYTES))  # an account that nothing can come from


def parse_account(line: str) -> Account:
    """`eip155:<chain>:0x<40 hex digits>`; `FormatError` (`transaction.account`) otherwise."""
    space, _, rest = line.strip().partition(":")
    chain, _, address = rest.partition(":")
    digits = address.lower().removeprefix("0x")
    if (
        space != _NAMESPACE
        or not (chain.isascii() and chain.isdigit() and 0 < int(chain[:19]) <= limits.CHAIN)
        or len(chain) > 19
        or len(address) != 42
        or not address.startswith("0x")
        or not set(digits) <= set("0123456789abcdef")
    ):
        raise FormatError(
            "transaction.account", f"{line[:80]!r} is not eip155:<chain>:0x<40 hex digits>"
        )
    return Account(int(chain), bytes.fromhex(digits))
