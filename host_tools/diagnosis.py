"""The known troubles of a site, one check each: what one sees first, what to do next.

A check is `good`, `trouble`, or `skipped` because what it needs is not there; the trouble that kept it from being made
stands above it. Nothing is changed by looking.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallystick import policy
from tallystick.errors import TallystickError
from tallystick_host import board_trouble, boards, files, limits, ports
from tallystick_host.boards import Board
from tallystick_host.console import Console
from tallystick_host.enrolment import Enrolment
from tallystick_host.errors import HostError, UndoneError
from tallystick_host.home import Home
from tallystick_host.transport import SerialPort, VirtualBoard
from tallystick_host.words import shown, shown_path

__all__ = ["Finding", "Site", "look"]

GOOD: Final = "good"
TROUBLE: Final = "trouble"
SKIPPED: Final = "skipped"
_BROKER_S: Final = 5.0
# CONNECT of MQTT 3.1.1 (section 3.1): clean session, no will, no login, client `tally-doctor`
_CONNECT: Final = b"\x10\x18\x00\x04MQTT\x04\x02\x00\x0a\x00\x0ctally-doctor"
_DISCONNECT: Final = b"\xe0\x00"
_REFUSALS: Final = {
    1: "it speaks another version of MQTT",
    2: "it refuses our name",
    3: "it says that it is unavailable",
    4: "it refuses user or password",
    5: "it lets nobody in without a login",
}
# a board's own word for what is wrong -> code, what to do


@dataclass(frozen=True)
class Finding:
    """One check. `symptom`: what one sees; `remedy`: what to do, empty if it is good."""

    code: str
    result: str
    symptom: str
    remedy: str = ""

    def facts(self) -> dict[str, object]:
        """For `--json`."""
        return vars(self)


@dataclass
class Site:
    """What to look at; None leaves it out."""

    home: Home
    port: str | None = None
    virtual: Path | None = None
    board: Board | None = None
    enrolment_path: Path | None = None
    broker: tuple[str, int] | None = None
    gateway_url: str | None = None
    info: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)


def look(site: Site) -> Iterator[Finding]:
    """All checks, in the order in which their troubles cause each other."""
    yield _check("home.keys", lambda: _keys(site))
    yield _check("home.policy", lambda: _policy(site))
    if site.port is not None or site.virtual is not None:
        reached = _check("board.answer", lambda: _reach(site))
        yield reached
        if reached.result == GOOD:
            yield from _board(site)
    yield _check("broker", lambda: _broker(site))
    yield _check("enrolment", lambda: _enrolment(site))
    yield _check("gateway", lambda: _gateway(site))


def _check(code: str, check: Callable[[], Finding]) -> Finding:
    """What could not be looked at is a trouble, with the words of what kept us from it."""
    try:
        return check()
    except HostError as error:
        return Finding(error.code or code, TROUBLE, error.detail, error.hint)
    except TallystickError as error:
        return Finding(code, TROUBLE, error.detail, error.hint)


def _keys(site: Site) -> Finding:
    site.home.owner()
    site.home.issuer()
    exposed = site.home.exposed()
    if exposed:
        return Finding(
            "home.exposed",
            TROUBLE,
            f"others can read {shown_path(exposed[0])}",
            f"chmod 600 {shown_path(exposed[0])}",
        )
    return Finding("home.keys", GOOD, "owner's and issuer's keys are there")


def _policy(site: Site) -> Finding:
    path = site.home.policy_path
    if not path.exists():
        return Finding(
            "policy.missing", TROUBLE, "there is no policy: nothing can be VERIFIED", "tally init"
        )
    trusted = policy.parse(files.read(path, limits.GRANTS_BYTES))
    if not trusted.gateways:
        return Finding(
            "policy.gateway",
            TROUBLE,
            "the policy trusts no gateway: everything is UNTRUSTED",
            'tally policy trust gateway "$(tally-gateway identity)"',
        )
    if not trusted.ledgers:
        return Finding(
            "policy.ledger",
            TROUBLE,
            "the policy trusts no ledger: everything is UNTRUSTED",
            'tally policy trust ledger "$(tally-ledger identity)"',
        )
    return Finding("policy", GOOD, "the policy trusts an issuer, a gateway and a ledger")


def _reach(site: Site) -> Finding:
    transport: SerialPort | VirtualBoard
    if site.virtual is not None:
        transport = VirtualBoard(site.virtual)
    else:
        known = boards.load_all()
        fitting = [site.board] if site.board is not None and site.board.usb else known
        transport = SerialPort(ports.choose(site.port or ports.AUTO, fitting))
        transport.start_s = limits.CONSOLE_ANSWER_S
    try:
        console = Console(transport)
        console.wake()
        site.info, site.status = console.facts("info"), {}
        if "key" in site.info:
            site.status = console.facts("status")
    finally:
        transport.close()
    return Finding("board.answer", GOOD, f"a board answers at {transport.name}")


def _board(site: Site) -> Iterator[Finding]:
    info, status = site.info, site.status
    if "key" not in info:
        fault = board_trouble.of_fault(info)
        yield Finding(fault.code, TROUBLE, fault.said, fault.remedy)
        return
    yield _kind(site)
    yield _owner(site)
    found = board_trouble.of(status)
    if found is not None and found.code == "board.sensor" and "simulator" in str(info.get("board")):
        # it measures the computer that it runs on, and many have no thermometer
        yield Finding(
            "board.state", GOOD, "a channel without a value: the computer cannot measure it"
        )
    elif found is not None:
        yield Finding(found.code, TROUBLE, found.said, found.remedy)
    else:
        yield Finding("board.state", GOOD, board_trouble.said(status))
    if status.get("time") is None:
        yield Finding(
            "board.clock",
            TROUBLE,
            "the board's clock is not set: its records say seconds since its start",
            "it is set by the gateway's acknowledgement, or by ntp: is the gateway granted and running?",
        )
    else:
        yield Finding("board.clock", GOOD, "its clock is set")
    if info.get("gateway") is None:
        yield Finding(
            "board.grant",
            TROUBLE,
            "the board knows no gateway: it keeps all it signs",
            "tally grant --gateway LINE --enrolment FILE; the board takes it over MQTT",
        )
    else:
        yield Finding("board.grant", GOOD, f"it believes gateway {shown(str(info['gateway']))}")


def _kind(site: Site) -> Finding:
    said = shown(str(site.info.get("board")))
    board = site.board
    if board is None:
        return Finding("board.kind", GOOD, f"it says that it is: {said}")
    if board.simulator != ("simulator" in said) or (board.chip and _chip(said) != board.chip):
        return Finding(
            "board.kind",
            TROUBLE,
            f"the board is no {board.id}: it says {said!r}",
            "tally boards list; name the right one with --board",
        )
    return Finding("board.kind", GOOD, f"it is {said}")


def _chip(said: str) -> str:
    """The chip in MicroPython's description, `Generic ESP32S3 module with ESP32S3`."""
    words = said.lower().replace("-", "").split()
    return next((word for word in reversed(words) if word.startswith("esp32")), "")


def _owner(site: Site) -> Finding:
    owner = site.info.get("owner")
    if owner is None:
        return Finding(
            "board.owner", TROUBLE, "the board has no owner: it is not enrolled", "tally provision"
        )
    if owner != site.home.owner().public.raw.hex():
        return Finding(
            "board.owner",
            TROUBLE,
            "the board has another owner",
            f"whoever is allowed to, types on its console: unset owner {shown(str(site.info.get('id')))}",
        )
    return Finding("board.owner", GOOD, "it obeys this owner")


def _broker(site: Site) -> Finding:
    if site.broker is None:
        return Finding("broker", SKIPPED, "no broker was named", "--broker HOST:PORT")
    host, port = site.broker
    name = shown(f"{host}:{port}")
    try:
        with socket.create_connection(site.broker, timeout=_BROKER_S) as connection:
            connection.sendall(_CONNECT)
            answer = connection.recv(4)
            connection.sendall(_DISCONNECT)
    except OSError as error:
        return Finding(
            "broker.down",
            TROUBLE,
            f"no broker answers at {name}: {shown((error.strerror or str(error)).lower())}",
            "is mosquitto running, and does it listen on this address?",
        )
    if len(answer) != 4 or answer[0] != 0x20:
        return Finding(
            "broker.mqtt",
            TROUBLE,
            f"what answers at {name} is no MQTT broker",
            "is the port right?",
        )
    if answer[3]:
        reason = _REFUSALS.get(answer[3], f"code {answer[3]}")
        # a broker with logins is as it should be: we have none
        if answer[3] in (4, 5):
            return Finding("broker", GOOD, f"{name} answers, and wants a login")
        return Finding("broker.refused", TROUBLE, f"{name}: {reason}", "look into the broker's log")
    return Finding("broker", GOOD, f"{name} answers")


def _enrolment(site: Site) -> Finding:
    if site.enrolment_path is None:
        return Finding("enrolment", SKIPPED, "no enrolment file was named", "--enrolment FILE")
    enrolment = Enrolment.load(site.enrolment_path)
    name = shown_path(site.enrolment_path)
    grant = enrolment.grant()
    if grant is None:
        return Finding(
            "enrolment.grant",
            TROUBLE,
            f"{name} grants no gateway",
            "tally grant --gateway LINE --enrolment FILE",
        )
    id = site.info.get("id")
    if id is None:
        return Finding("enrolment", GOOD, f"{name} has {len(enrolment.devices)} boards and a grant")
    if enrolment.with_id(str(id)) is None:
        return Finding(
            "enrolment.device",
            TROUBLE,
            f"{shown(str(id))} is not in {name}: its gateway refuses it",
            "tally provision, or tally enrol",
        )
    held = site.info.get("gateway")
    if held is not None and held != grant.key.kid.hex():
        return Finding(
            "enrolment.gateway",
            TROUBLE,
            f"the board believes gateway {shown(str(held))}, {name} grants {grant.origin}",
            "the board takes the new grant when it is connected to the broker",
        )
    return Finding("enrolment", GOOD, f"{shown(str(id))} is in {name}")


def _gateway(site: Site) -> Finding:
    if site.gateway_url is None:
        return Finding("gateway", SKIPPED, "no gateway was named", "--gateway-url URL")
    state = _get(site.gateway_url, "healthz")
    if state.get("state") not in ("running", "starting"):
        return Finding(
            "gateway.state",
            TROUBLE,
            f"the gateway says {shown(str(state.get('state')))!r}",
            "look into its log; tally-gateway fsck checks its folder",
        )
    id = site.info.get("id")
    if id is None:
        return Finding("gateway", GOOD, "the gateway answers")
    device = _get(site.gateway_url, f"v1/devices/{id}")
    if not device.get("enrolled"):
        return Finding(
            "gateway.device",
            TROUBLE,
            f"the gateway does not admit {shown(str(id))}",
            "does it read this enrolment file? tally-gateway run --enrolment FILE",
        )
    return Finding("gateway", GOOD, f"the gateway answers, and admits {shown(str(id))}")


def _get(url: str, path: str) -> dict[str, Any]:
    """A page of the gateway; {} for one that it does not have."""
    import httpx

    try:
        answer = httpx.get(f"{url.rstrip('/')}/{path}", timeout=_BROKER_S)
        table = json.loads(answer.text[: limits.CONSOLE_LINE_BYTES])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
        raise UndoneError(
            f"no gateway answers at {shown(url)!r}",
            code="gateway.down",
            hint="is tally-gateway running, and is the address right?",
        ) from error
    return table if isinstance(table, dict) else {}
