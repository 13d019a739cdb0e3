"""What is wanted for one board, and how its settings come to be that. What is right is not touched.

Passwords and PINs go in and do not come out: those that cannot be compared are given again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallystick_host import limits
from tallystick_host.boards import Board
from tallystick_host.console import Console
from tallystick_host.enrol import Settings
from tallystick_host.errors import UseError
from tallystick_host.words import shown

__all__ = ["CARD_KEYS", "Wish", "check", "free", "settle"]

CARD_KEYS: Final = ("iot-safe", "signit")
_COMMANDS: Final = (
    *("none", "report", "identify", "resend", "reset", "interval", "batch", "rotate", "unlock"),
)  # docs/format.md, section 6
_PINS: Final = ("sim_pin", "card_pin")
_NO_KEY: Final = "no key"  # how the fault of such a board begins
_DEFAULT_SENSOR: Final = "tally.chip_sensor"


@dataclass(frozen=True)
class Wish:
    """What is wanted for one board. Exactly one of `port` and `virtual`; `board` None: find out. `kind`: what the
    credential says that it is; None: what it says already, or nothing.
    """

    enrolment_path: Path
    settings: Settings
    port: str | None = None
    virtual: Path | None = None
    board: Board | None = None
    kind: str | None = None
    name: str | None = None
    wifi_ssid: str | None = None
    wifi_password: str | None = field(default=None, repr=False)
    login_user: str | None = None
    login_password: str | None = field(default=None, repr=False)
    sensor: str | None = None
    agent: Path | None = None
    gateway_url: str | None = None
    valid_days: int | None = None
    labels: Path | None = None
    commands: str | None = None
    lock: bool = False
    apn: str | None = None
    key: str | None = None
    sim_pin: str | None = field(default=None, repr=False)
    card_pin: str | None = field(default=None, repr=False)


def check(wish: Wish) -> None:
    """`UseError` for what makes no sense, before anything is done."""
    if wish.commands is not None:
        _check_commands(wish.commands)
    if (wish.apn is not None or wish.key in CARD_KEYS) and wish.board and wish.board.usb:
        _check_modem(wish.board)


def _check_commands(text: str) -> None:
    """Are these names of commands that a gateway may give?"""
    unknown = [name for name in text.split() if name not in _COMMANDS]
    if unknown or not text.split():
        raise UseError(
            f"{shown(' '.join(unknown) or text)!r} is no command of a gateway",
            hint=f"some of: {' '.join(_COMMANDS)}; or none",
        )


def _check_modem(board: Board) -> None:
    if not board.modem_args:
        raise UseError(
            f"{board.id} has no modem",
            hint="--apn and --key iot-safe|signit are for boards with one: tally boards list",
        )


def free(wish: Wish, console: Console, info: dict[str, Any]) -> list[str]:
    """Give a board whose SIM card does not open what it lacks: it answers nothing else, and not whose it is."""
    if "key" in info or not str(info.get("fault")).startswith(_NO_KEY):
        return []
    given = {"key": wish.key, "sim_pin": wish.sim_pin, "card_pin": wish.card_pin}
    wanted = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        return []
    console.ask(f"set config {json.dumps(wanted)}")
    console.ask("reset")
    console.wake(limits.CARD_START_S)
    return [f"{name} set" for name in wanted]


def settle(wish: Wish, console: Console, info: dict[str, Any]) -> list[str]:
    """What enrolment does not set: network, login, sensor, light. What is right is not touched."""
    present = console.facts("config")
    done: list[str] = []
    if wish.wifi_ssid is not None:
        unknown = present.get("wifi_ssid") != wish.wifi_ssid or (
            wish.wifi_password is not None and not present.get("wifi_password")
        )
        # a password cannot be compared: it is given again where the board does not get in with it
        offline = wish.wifi_password is not None and not console.facts("status").get("connected")
        if unknown or offline:
            # as JSON: a network's name may have spaces
            network = {"wifi_ssid": wish.wifi_ssid, "wifi_password": wish.wifi_password}
            console.ask(f"set config {json.dumps(network)}")
            done.append(f"network {shown(wish.wifi_ssid)}")
    if wish.login_user is not None and (
        present.get("broker_user") != wish.login_user or not present.get("broker_password")
    ):
        login = {"broker_user": wish.login_user, "broker_password": wish.login_password}
        console.ask(f"set config {json.dumps(login)}")
        done.append(f"login {shown(wish.login_user)}")
    wanted = _board_settings(wish, present) | _cellular(wish, present)
    if wish.commands is not None and present.get("commands") != wish.commands:
        wanted["commands"] = wish.commands
    if wanted:
        console.ask(f"set config {json.dumps(wanted)}")
        done += [f"{name} {value}" for name, value in wanted.items() if name not in _PINS]
        done += [f"{name} set" for name in _PINS if name in wanted]
        # what is made at a start is in force after the next one; a key in the card is another identity
        at_start = {"sensor", "net", "modem_args"} & wanted.keys()
        if "key" in wanted or (at_start and info.get("state") != "waiting"):
            console.ask("reset")
            console.wake(limits.CARD_START_S)
    return done


def _cellular(wish: Wish, present: dict[str, Any]) -> dict[str, object]:
    """The settings of modem and SIM card that are asked for and not there yet."""
    wanted: dict[str, object] = {}
    args = dict(present.get("modem_args") or {})
    if wish.board is not None and (wish.apn is not None or wish.key in CARD_KEYS):
        args |= wish.board.modem_args
    if wish.apn is not None:
        args["apn"] = wish.apn
        wanted["net"] = "modem"
    wanted |= {"modem_args": args, "key": wish.key or present.get("key")}
    wanted = {name: value for name, value in wanted.items() if present.get(name) != value}
    # a PIN cannot be compared: it is given again
    pins = {"sim_pin": wish.sim_pin, "card_pin": wish.card_pin}
    return wanted | {name: pin for name, pin in pins.items() if pin is not None}


def _board_settings(wish: Wish, present: dict[str, Any]) -> dict[str, object]:
    """What the board's file says and the board does not know yet; a sensor that somebody chose stays."""
    wanted: dict[str, object] = {}
    board = wish.board
    sensor = wish.sensor
    if sensor is None and board is not None and present.get("sensor") == _DEFAULT_SENSOR:
        sensor = board.sensor
    if sensor is not None and present.get("sensor") != sensor:
        wanted["sensor"] = sensor
    if board is not None and "led" in board.pins and present.get("led_pin", 0) is None:
        wanted |= {"led_pin": board.pins["led"], "led_active": board.led_active}
    return wanted
