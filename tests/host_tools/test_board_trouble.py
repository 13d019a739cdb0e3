"""What a board says is wrong has a code and a remedy that fits; a wrong one sends an engineer to the wrong end."""

from __future__ import annotations

import pytest

from tallystick_host import board_trouble
from tests.parts import ROOT

MODEMS = ("SIM PUK", "SIM not inserted", "SIM failure")  # their words, not the firmware's
NO_NETWORK = "no network: the modem says "
NO_KEY = "no key: the SIM card says: "
LINKS = {
    NO_NETWORK + "it wants a PIN: set sim_pin": ("board.pin", "--sim-pin-file FILE"),
    NO_NETWORK + "sim_pin is wrong, 2 tries are left": ("board.pin", "--sim-pin-file FILE"),
    NO_NETWORK + "sim_pin was refused: set another one": ("board.pin", "no third guess"),
    NO_NETWORK
    + "sim_pin is not tried, it may be the last try: open the card elsewhere, set sim_pin null, reset, then "
    "set it": ("board.pin", 'set config {"sim_pin": null}'),
    NO_NETWORK + "its PIN is blocked": ("board.pin-blocked", "PUK"),
    "no network: the SIM card says SIM PUK": ("board.pin-blocked", "PUK"),
    NO_NETWORK + "+CME ERROR: SIM not inserted": ("board.sim", "the right way round"),
    "no network: the modem does not answer, switching it on": ("board.modem", "2 A"),
    "no network: the modem hangs, switching it off and on": ("board.modem", "2 A"),
    "no network: waiting for the modem": ("board.modem", "it starts"),
    "no network: searching, signal 99,99": ("board.signal", "antenna"),
    "no network: it is refused, signal 17,99": ("board.signal", "activated"),
    "the modem has no way out, code 9": ("board.apn", "--apn NAME"),
    "the modem's code 25": ("board.broker", "by this name"),
    "no network: it refuses the password": ("board.password", "--wifi-password-file"),
    "no network": ("board.network", "--wifi SSID"),
}
FAULTS = {
    NO_KEY + "it wants a PIN: set card_pin": ("board.pin", "--card-pin-file FILE"),
    NO_KEY + "card_pin is wrong, 2 tries are left": ("board.pin", "--card-pin-file FILE"),
    NO_KEY + "its PIN is blocked": ("board.pin-blocked", "PUK"),
    NO_KEY + "there is no such applet: see card_args": ("board.applet", "--key"),
    NO_KEY + "there is no such key: see card_args": ("board.applet", "entry"),
    NO_KEY + "the modem gives no way to the SIM card": ("board.applet", "AT+CSIM"),
    NO_KEY + "+CME ERROR: SIM not inserted": ("board.sim", "the right way round"),
    "no key: no network: the modem does not answer, switching it on": ("board.modem", "power_key"),
    "a modem in PPP has no time for its SIM card: set net modem": ("board.modem", "--apn NAME"),
    "the stored key has another length": ("board.fault", "tally flash"),
}


@pytest.mark.parametrize("link", LINKS)
def test_a_board_without_a_network(link: str) -> None:
    """Of a cellular board the remedy is never the Wi-Fi's."""
    found = board_trouble.of({"light": "no network", "link": link})
    assert found is not None
    code, remedy = LINKS[link]
    assert code == found.code
    assert remedy in found.remedy


@pytest.mark.parametrize("fault", FAULTS)
def test_a_board_that_does_not_come_up(fault: str) -> None:
    """`tally flash` is no remedy for a PIN."""
    found = board_trouble.of_fault({"state": "fault", "fault": fault})
    code, remedy = FAULTS[fault]
    assert code == found.code
    assert remedy in found.remedy
    assert found.said == f"the board did not come up: {fault}"


def test_the_words_are_the_firmwares() -> None:
    """A sentence that the board says otherwise by now would lose its remedy, and nobody would notice."""
    said = "".join(path.read_text() for path in (ROOT / "firmware").rglob("*.py"))
    said = said.replace("%s was refused", "_pin was refused").replace(
        "network: %s, signal", "network: searching"
    )
    for part, *_ in board_trouble._WORDS:
        if part not in MODEMS:
            assert part in said or part.replace("it is refused", "searching") in said, part
