"""What a board says of itself when something is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tallystick_host.words import shown

__all__ = ["Trouble", "in_words", "of", "of_fault", "said"]

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
    "no key": ("board.key", "the SIM card does not sign now: is it in? tally logs says why"),
    "waiting": ("board.waiting", "it was not told to run: tally provision"),
}
_OPTIONS: Final = {"sim_pin": "--sim-pin-file", "card_pin": "--card-pin-file"}
_ELSEWHERE: Final = "unlock the card in a telephone"
# what stands in the board's words -> code, remedy; the first one that fits (firmware/modem)
_WORDS: Final = (
    (
        "refuses the password",
        "board.password",
        "the Wi-Fi password is wrong: tally provision --wifi SSID --wifi-password-file FILE",
    ),
    ("it wants a PIN", "board.pin", "tally provision {option} FILE"),
    (
        "it may be the last try",
        "board.pin",
        _ELSEWHERE
        + '; on the console: set config {{"{setting}": null}}, reset; then tally provision {option} FILE',
    ),
    (
        "_pin ",
        "board.pin",
        "look the PIN up, it is not shown again: tally provision {option} FILE, and no third guess",
    ),
    ("PIN is blocked", "board.pin-blocked", _ELSEWHERE + " with its PUK, or take another one"),
    ("SIM PUK", "board.pin-blocked", _ELSEWHERE + " with its PUK, or take another one"),
    (
        "SIM not inserted",
        "board.sim",
        "is a SIM card in the modem, the right way round? then reset it",
    ),
    ("SIM failure", "board.sim", "is a SIM card in the modem, the right way round? then reset it"),
    (
        "no such applet",
        "board.applet",
        "a card without this applet: another card, --key, or its AID in card_args (docs/cellular.md)",
    ),
    (
        "no such key",
        "board.applet",
        "the applet has no key of this id: entry, private and public in card_args (docs/cellular.md)",
    ),
    (
        "no way to the SIM card",
        "board.applet",
        "is the card in? a modem that has neither AT+CSIM nor AT+CCHO cannot be used with --key",
    ),
    (
        "another SIM card",
        "board.applet",
        "the card is not the one that the board started with: reset it, and enrol that identity",
    ),
    (
        "the modem hangs",
        "board.modem",
        "its supply gives 2 A in bursts? power_key, tx, rx in modem_args (docs/cellular.md)",
    ),
    (
        "modem does not answer",
        "board.modem",
        "its supply gives 2 A in bursts? power_key, tx, rx in modem_args (docs/cellular.md)",
    ),
    (
        "waiting for the modem",
        "board.modem",
        "it starts; if it stays so: its supply, power_key, tx, rx in modem_args (docs/cellular.md)",
    ),
    (
        "set net modem",
        "board.modem",
        "tally provision --apn NAME: with PPP the card cannot be asked",
    ),
    ("network: searching", "board.signal", "is the antenna on? a new place can take minutes"),
    ("network: it is refused", "board.signal", "the operator refuses the card: is it activated?"),
    (
        "the modem has no way out",
        "board.apn",
        "tally provision --apn NAME: ask the operator for it",
    ),
    (
        "the modem's code",
        "board.broker",
        "can the operator's network reach the broker, by this name? --apn, --broker",
    ),
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


def in_words(text: str) -> tuple[str, str] | None:
    """Code and remedy of what the board says is wrong; None if it is nothing that we know."""
    for part, code, remedy in _WORDS:
        if part in text:
            setting = "card_pin" if "card_pin" in text else "sim_pin"
            return code, remedy.format(setting=setting, option=_OPTIONS[setting])
    return None


def of(status: Mapping[str, Any]) -> Trouble | None:
    """The trouble in the answer to `status`; None if there is none that we know."""
    known = in_words(str(status.get("link"))) or _LIGHTS.get(
        str(status.get("light") or status.get("state"))
    )
    return None if known is None else Trouble(known[0], said(status), known[1])


def of_fault(info: Mapping[str, Any]) -> Trouble:
    """Of a board that did not come up: its answer to `info`."""
    fault = str(info.get("fault", "unknown"))
    code, remedy = in_words(fault) or ("board.fault", "reset it; then tally flash")
    return Trouble(code, f"the board did not come up: {shown(fault)}", remedy)
