"""Another key for a board that stays the same device, over its console.

The board makes the new key itself and signs with the old one that it hands over; neither leaves it. Before and
after, it signs a challenge made for this moment: it is the board that is meant, and it holds the key that it names.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from tallystick.keys import PublicKey
from tallystick_host.console import BoardRefusedError, Console
from tallystick_host.enrol import challenge
from tallystick_host.errors import RefusedError, UndoneError
from tallystick_host.words import shown

__all__ = ["Rotated", "rotate"]

_NONCE_BYTES = 16


@dataclass(frozen=True)
class Rotated:
    """The key before, the key in force now, and the seq that is signed next."""

    before: PublicKey
    now: PublicKey
    next: int | None


def rotate(console: Console, id: str) -> Rotated:
    """Have the board with this id (16 hexadecimal digits) take a new key."""
    there = console.facts("info").get("id")
    if there != id:
        raise RefusedError(
            f"the board at {console.transport.name} is {shown(str(there))}, not {id}",
            code="rotate.other-board",
        )
    device = bytes.fromhex(id)
    before = challenge(console, secrets.token_bytes(_NONCE_BYTES), device).key
    try:
        named = console.ask(f"rotate {id}")
    except BoardRefusedError as error:
        raise UndoneError(
            f"the board does not rotate: {error.board_code}: {error.board_detail}",
            code="rotate.refused",
            hint="it must have a head, and an agent that knows the command: tally doctor",
        ) from error
    after = challenge(console, secrets.token_bytes(_NONCE_BYTES), device)
    # stops a board that only says so from being taken for one that holds a new key
    if after.key == before or named != after.key.raw.hex():
        raise RefusedError("the board signs with another key than it names", code="rotate.key")
    return Rotated(before, after.key, after.next)
