"""What a board says of itself when something is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tallystick_host.words import shown

__all__ = ["Trouble", "of", "said"]

# the word for the light (docs/field-guide.md) -> code, remedy
_LIGHTS: Final = {
    "no network": (
        "board.network",
        "is the network there, and in reach? tally provision --wifi SSID sets it",
    ),
    "no broker": (
        "board.broker",
        "does the board reach the broker's address? tally provision --broker HOST:PORT",
    ),
    "login": ("board.login", "tally provision --login USER sets it again"),
    "certificate": (
        "board.certificate",
        "the broker's certificate is not of the CA that the board was given",
    ),
    "refused": (
        "board.refused",
        "it refuses the gateway's word: it holds another's grant, tally grant --gateway LINE",
    ),
    "halted": (
        "board.halted",
        "it has lost the head of its chain: its gateway's next acknowledgement gives it back",
    ),
    "storage": (
        "board.storage",
        "its flash is full or worn: reset it; if it stays so, take another board",
    ),
    "sensor": ("board.sensor", "look at the wiring, in the board's README"),
    "no sensor": (
        "board.sensor",
        "the sensor's settings are wrong: tally provision --sensor MODULE",
    ),
    "waiting": ("board.waiting", "it was not told to run: tally provision"),
}
_PASSWORD: Final = (
    "board.password",
    "the Wi-Fi password is wrong: tally provision --wifi SSID --wifi-password-file FILE",
)


@dataclass(frozen=True)
class Trouble:
    """A code, what the board says, and what to do."""

    code: str
    said: str
    remedy: str


def said(status: Mapping[str, Any]) -> str:
    """What the board says of itself, in its own words."""
    light = status.get("light") or status.get("state")
    why = status.get("link") or status.get("sensor") or status.get("halted")
    return f"the board says {shown(str(light))!r}" + (f": {shown(str(why))}" if why else "")


def of(status: Mapping[str, Any]) -> Trouble | None:
    """The trouble in the answer to `status`; None if there is none that we know."""
    if "refuses the password" in str(status.get("link")):
        return Trouble(_PASSWORD[0], said(status), _PASSWORD[1])
    known = _LIGHTS.get(str(status.get("light") or status.get("state")))
    return None if known is None else Trouble(known[0], said(status), known[1])
